/** The server's rule for passwords, as shown below the fields. */
export const passwordRule = 'At least 8 characters, with an uppercase letter, a lowercase letter and a number.';
