/** The dialogs that several parts of the page open. */
export type DialogName = 'newChannel' | 'browse' | 'newDirect' | 'account';
export type OpenDialog = (name: DialogName) => void;
