package auth

import "github.com/chowk-chat/chowk/chat"

// The requests and answers have the shapes of the old system.
type (
	// SignupRequest makes an account.
	SignupRequest struct {
		Email     string  `json:"email" format:"email" maxLength:"254"`
		Password  string  `json:"password" maxLength:"128"`
		FirstName *string `json:"first_name,omitempty"`
		LastName  *string `json:"last_name,omitempty"`
		Phone     *string `json:"phone,omitempty"`
		Role      string  `json:"role,omitempty" doc:"student or tutor; student when left out"`
		// Invitation is what follows invite= in an invitation's link.
		Invitation string `json:"invitation,omitempty"`
	}
	// LoginRequest asks for a session.
	LoginRequest struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	// ChangePasswordRequest replaces one's password.
	ChangePasswordRequest struct {
		CurrentPassword string `json:"current_password"`
		NewPassword     string `json:"new_password"`
	}
	// TokenResponse is a session that was just opened.
	TokenResponse struct {
		AccessToken string       `json:"access_token"`
		TokenType   string       `json:"token_type"`
		ExpiresIn   int          `json:"expires_in"`
		User        UserResponse `json:"user"`
	}
	// UserResponse is an account as its owner sees it.
	UserResponse struct {
		ID         chat.UserID `json:"id"`
		Email      *string     `json:"email"`
		FirstName  *string     `json:"first_name"`
		LastName   *string     `json:"last_name"`
		Phone      *string     `json:"phone"`
		AvatarURL  *string     `json:"avatar_url"`
		Role       string      `json:"role"`
		IsActive   bool        `json:"is_active"`
		IsVerified bool        `json:"is_verified"`
		CreatedAt  chat.Time   `json:"created_at"`
		Name       string      `json:"name"`
		IsAdmin    bool        `json:"is_admin"`
	}
	// MessageResponse says that it is done.
	MessageResponse struct {
		Message string `json:"message"`
	}
	// ConfigResponse tells a log-in page what it can offer.
	ConfigResponse struct {
		Mode   Mode   `json:"mode"`
		Signup Signup `json:"signup"`
	}
)

func userResponse(u *chat.User) UserResponse {
	return UserResponse{
		ID: u.ID, Email: u.Email, FirstName: u.FirstName, LastName: u.LastName, Phone: u.Phone, AvatarURL: u.Picture,
		Role: u.Role, IsActive: u.IsActive, IsVerified: u.IsVerified, CreatedAt: u.CreatedAt, Name: u.Name, IsAdmin: u.IsAdmin,
	}
}
