package chat

// User is a person or program that sends and receives messages.
type User struct {
	ID         UserID  `json:"id"`
	Name       string  `json:"name"`
	Email      *string `json:"email,omitempty"`
	Picture    *string `json:"picture,omitempty"`
	FirstName  *string `json:"first_name,omitempty"`
	LastName   *string `json:"last_name,omitempty"`
	Phone      *string `json:"phone,omitempty"`
	Role       string  `json:"role,omitempty" doc:"As set by the application or at sign-up; chowk does not use it"`
	IsAdmin    bool    `json:"is_admin,omitempty"`
	IsActive   bool    `json:"is_active"`
	IsVerified bool    `json:"is_verified"`
	CreatedAt  Time    `json:"created_at"`
}

// UserRef is what other users see of a user.
type UserRef struct {
	ID      UserID  `json:"id"`
	Name    string  `json:"name"`
	Email   *string `json:"email,omitempty" doc:"Only if the caller may see it"`
	Picture *string `json:"picture,omitempty"`
	// RawUserMetaData repeats the name for clients of the old system.
	RawUserMetaData UserMetaData `json:"raw_user_meta_data" old:"true"`
}

// UserMetaData is where clients of the old system read a user's name.
type UserMetaData struct {
	Name string `json:"name"`
}

// Ref returns what others see of u, with the email if they may see it.
func (u *User) Ref(withEmail bool) *UserRef {
	r := &UserRef{ID: u.ID, Name: u.Name, Picture: u.Picture, RawUserMetaData: UserMetaData{Name: u.Name}}
	if withEmail {
		r.Email = u.Email
	}
	return r
}
