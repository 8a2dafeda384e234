package chat

// User is one person or program that takes part.
type User struct {
	ID         UserID  `json:"id"`
	Name       string  `json:"name"`
	Email      *string `json:"email,omitempty"`
	Picture    *string `json:"picture,omitempty"`
	FirstName  *string `json:"first_name,omitempty"`
	LastName   *string `json:"last_name,omitempty"`
	Phone      *string `json:"phone,omitempty"`
	Role       string  `json:"role,omitempty" doc:"The role that the host application or the person at sign-up gave: student or tutor. chowk gives it no meaning."`
	IsAdmin    bool    `json:"is_admin,omitempty"`
	IsActive   bool    `json:"is_active"`
	IsVerified bool    `json:"is_verified"`
	CreatedAt  Time    `json:"created_at"`
}

// UserRef is what other people see of a user beside a message.
type UserRef struct {
	ID      UserID  `json:"id"`
	Name    string  `json:"name"`
	Email   *string `json:"email,omitempty" doc:"Only where the caller may see it"`
	Picture *string `json:"picture,omitempty"`
	// RawUserMetaData repeats the name where the old front-end looks for it.
	RawUserMetaData UserMetaData `json:"raw_user_meta_data"`
}

// UserMetaData is the old front-end's place for a user's name.
type UserMetaData struct {
	Name string `json:"name"`
}

// Ref is u as other people see it; the email only when they may.
func (u *User) Ref(withEmail bool) *UserRef {
	r := &UserRef{ID: u.ID, Name: u.Name, Picture: u.Picture, RawUserMetaData: UserMetaData{Name: u.Name}}
	if withEmail {
		r.Email = u.Email
	}
	return r
}
