package auth

import "github.com/chowk-chat/chowk/chat"

// The requests and responses have the shapes of the old system.
type (
	// SignupRequest creates an account.
	SignupRequest struct {
		Email     string  `json:"email" format:"email" maxLength:"254"`
		Password  string  `json:"password" maxLength:"128"`
		FirstName *string `json:"first_name,omitempty"`
		LastName  *string `json:"last_name,omitempty"`
		Phone     *string `json:"phone,omitempty"`
		Role      string  `json:"role,omitempty" doc:"student or tutor; default student"`
		// Invitation is the token after invite= in an invitation's link.
		Invitation string `json:"invitation,omitempty"`
	}
	// LoginRequest logs in.
	LoginRequest struct {
		Email    string `json:"email"`
		Password string `json:"password"`
	}
	// ChangePasswordRequest replaces the caller's password.
	ChangePasswordRequest struct {
		CurrentPassword string `json:"current_password"`
		NewPassword     string `json:"new_password"`
	}
	// TokenResponse is a new log-in.
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
	// MessageResponse confirms an action.
	MessageResponse struct {
		Message string `json:"message"`
	}
	// ConfigResponse describes what a log-in page can offer.
	ConfigResponse struct {
		Mode   Mode   `json:"mode" enum:"accounts,jwt,none"`
		Signup Signup `json:"signup" enum:"open,invite,closed"`
	}
)

func userResponse(u *chat.User) UserResponse {
	return UserResponse{
		ID: u.ID, Email: u.Email, FirstName: u.FirstName, LastName: u.LastName, Phone: u.Phone, AvatarURL: u.Picture,
		Role: u.Role, IsActive: u.IsActive, IsVerified: u.IsVerified, CreatedAt: u.CreatedAt, Name: u.Name,
		IsAdmin: u.IsAdmin,
	}
}
