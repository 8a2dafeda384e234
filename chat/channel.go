package chat

import "slices"

// Role is a member's role in one channel.
type Role string

// The roles, most powerful first.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RoleGuest  Role = "guest"
	NotMember  Role = "" // not a member
)

// RoleNames are the roles that a member can have, most powerful first.
var RoleNames = []Role{RoleOwner, RoleAdmin, RoleMember, RoleGuest}

// Valid reports whether r is a role that a member can have.
func (r Role) Valid() bool { return slices.Contains(RoleNames, r) }

// Roles is a set of roles.
type Roles uint8

// The sets of roles that rules use.
const (
	Owners Roles = 1 << iota
	Admins
	PlainMembers
	Guests
	// NonMembers includes users who are not members.
	NonMembers

	Managers = Owners | Admins
	Members  = Owners | Admins | PlainMembers | Guests
	Anyone   = Members | NonMembers
)

// Has reports whether r is in the set.
func (s Roles) Has(r Role) bool {
	switch r {
	case RoleOwner:
		return s&Owners != 0
	case RoleAdmin:
		return s&Admins != 0
	case RoleMember:
		return s&PlainMembers != 0
	case RoleGuest:
		return s&Guests != 0
	default:
		return s&NonMembers != 0
	}
}

// Names returns the roles in the set, except NotMember.
func (s Roles) Names() []Role {
	var names []Role
	for _, r := range RoleNames {
		if s.Has(r) {
			names = append(names, r)
		}
	}
	return names
}

// ChannelType is what a channel is for. Only Direct has a meaning for chowk: such a
// channel has the same two members permanently, and each pair of users has one.
type ChannelType string

// The channel types.
const (
	Direct       ChannelType = "direct"
	Group        ChannelType = "group"
	TutorStudent ChannelType = "tutor_student"
	Class        ChannelType = "class"
	Subject      ChannelType = "subject"
)

// ChannelTypes are the channel types.
var ChannelTypes = []ChannelType{Direct, Group, TutorStudent, Class, Subject}

// Valid reports whether t is one of ChannelTypes.
func (t ChannelType) Valid() bool { return slices.Contains(ChannelTypes, t) }

// NotificationLevel is what a member wants to be notified of.
type NotificationLevel string

// The notification levels.
const (
	NotifyAll      NotificationLevel = "all"
	NotifyMentions NotificationLevel = "mentions"
	NotifyNone     NotificationLevel = "none"
)

// NotificationLevels are the notification levels.
var NotificationLevels = []NotificationLevel{NotifyAll, NotifyMentions, NotifyNone}

// Valid reports whether l is one of NotificationLevels.
func (l NotificationLevel) Valid() bool { return slices.Contains(NotificationLevels, l) }

// Channel is a conversation: an ordered log and its members.
type Channel struct {
	ID            ID          `json:"id"`
	Name          string      `json:"name" minLength:"1"`
	Description   *string     `json:"description"`
	ChannelType   ChannelType `json:"channel_type"`
	IsPrivate     bool        `json:"is_private"`
	IsArchived    bool        `json:"is_archived"`
	CreatedBy     UserID      `json:"created_by"`
	TutorID       *UserID     `json:"tutor_id"`
	Subject       *string     `json:"subject"`
	Topic         *string     `json:"topic"`
	MemberCount   int64       `json:"member_count"`
	MessageCount  int64       `json:"message_count" doc:"Messages sent so far, including deleted ones"`
	LastMessageAt *Time       `json:"last_message_at"`
	CreatedAt     Time        `json:"created_at"`
	UpdatedAt     Time        `json:"updated_at"`
	LastSeq       Seq         `json:"last_seq"`
	MyMembership  *Membership `json:"my_membership" doc:"null if the caller is not a member"`
	// Clients of the old system read these two here, not in my_membership.
	UnreadCount int64 `json:"unread_count"`
	IsStarred   bool  `json:"is_starred"`
	// The store knows the other member of a direct channel only when it knows the caller.
	DirectPeer *UserRef `json:"direct_peer,omitempty" doc:"The other member of a direct channel. Events do not have it."`
}

// Membership is a user's membership in a channel, with the settings that are only theirs.
type Membership struct {
	UserID               UserID            `json:"user_id"`
	Role                 Role              `json:"role"`
	IsStarred            bool              `json:"is_starred"`
	IsMuted              bool              `json:"is_muted"`
	NotificationsEnabled bool              `json:"notifications_enabled"`
	NotificationLevel    NotificationLevel `json:"notification_level"`
	UnreadCount          int64             `json:"unread_count"`
	JoinedAt             Time              `json:"joined_at"`
	LastReadAt           *Time             `json:"last_read_at"`
	LastReadSeq          Seq               `json:"last_read_seq"`
}

// Member is a membership as other members see it, without private settings.
type Member struct {
	UserID      UserID   `json:"user_id"`
	Role        Role     `json:"role"`
	JoinedAt    Time     `json:"joined_at"`
	LastReadSeq Seq      `json:"last_read_seq"`
	User        *UserRef `json:"user,omitempty"`
}

// ChannelPatch changes a channel. Fields that are nil stay as they are.
type ChannelPatch struct {
	Name        *string `json:"name,omitempty" minLength:"1" max:"name"`
	Description *string `json:"description,omitempty" max:"description"`
	Topic       *string `json:"topic,omitempty" max:"topic"`
	IsArchived  *bool   `json:"is_archived,omitempty"`
}

// MembershipPatch changes the settings of one's own membership. Fields that are nil
// stay as they are.
type MembershipPatch struct {
	IsStarred            *bool              `json:"is_starred,omitempty"`
	IsMuted              *bool              `json:"is_muted,omitempty"`
	NotificationsEnabled *bool              `json:"notifications_enabled,omitempty"`
	NotificationLevel    *NotificationLevel `json:"notification_level,omitempty"`
}
