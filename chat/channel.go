package chat

import "slices"

// Role is a member's standing in one channel.
type Role string

// The roles, most powerful first.
const (
	RoleOwner  Role = "owner"
	RoleAdmin  Role = "admin"
	RoleMember Role = "member"
	RoleGuest  Role = "guest"
	NotMember  Role = "" // not a member
)

// RoleNames lists the roles that a member can have.
var RoleNames = []Role{RoleOwner, RoleAdmin, RoleMember, RoleGuest}

// Valid reports whether r is a role that a member can have.
func (r Role) Valid() bool { return slices.Contains(RoleNames, r) }

// Roles is a set of roles.
type Roles uint8

// The sets that the rules are written in.
const (
	OwnerOnly Roles = 1 << iota
	AdminOnly
	PlainOnly
	GuestOnly
	// NobodyToo lets those in who are not members.
	NobodyToo

	Managers = OwnerOnly | AdminOnly
	Members  = OwnerOnly | AdminOnly | PlainOnly | GuestOnly
	Anyone   = Members | NobodyToo
)

// Has reports whether r is in the set.
func (s Roles) Has(r Role) bool {
	switch r {
	case RoleOwner:
		return s&OwnerOnly != 0
	case RoleAdmin:
		return s&AdminOnly != 0
	case RoleMember:
		return s&PlainOnly != 0
	case RoleGuest:
		return s&GuestOnly != 0
	default:
		return s&NobodyToo != 0
	}
}

// Names lists the members' roles in the set.
func (s Roles) Names() []Role {
	var names []Role
	for _, r := range RoleNames {
		if s.Has(r) {
			names = append(names, r)
		}
	}
	return names
}

// ChannelType is what a channel is for. Only direct changes what chowk does: such
// a channel has two members for ever and one exists for each pair of users.
type ChannelType string

// The channel types of the old system.
const (
	Direct       ChannelType = "direct"
	Group        ChannelType = "group"
	TutorStudent ChannelType = "tutor_student"
	Class        ChannelType = "class"
	Subject      ChannelType = "subject"
)

// ChannelTypes lists the channel types.
var ChannelTypes = []ChannelType{Direct, Group, TutorStudent, Class, Subject}

// Valid reports whether t is one of ChannelTypes.
func (t ChannelType) Valid() bool { return slices.Contains(ChannelTypes, t) }

// NotificationLevel is what a member wants to be told of.
type NotificationLevel string

// The notification levels.
const (
	NotifyAll      NotificationLevel = "all"
	NotifyMentions NotificationLevel = "mentions"
	NotifyNone     NotificationLevel = "none"
)

// NotificationLevels lists the notification levels.
var NotificationLevels = []NotificationLevel{NotifyAll, NotifyMentions, NotifyNone}

// Valid reports whether l is one of NotificationLevels.
func (l NotificationLevel) Valid() bool { return slices.Contains(NotificationLevels, l) }

// Channel is a conversation: one ordered log and its members.
type Channel struct {
	ID            ID          `json:"id"`
	Name          string      `json:"name"`
	Description   *string     `json:"description"`
	ChannelType   ChannelType `json:"channel_type" enum:"direct,group,tutor_student,class,subject"`
	IsPrivate     bool        `json:"is_private"`
	IsArchived    bool        `json:"is_archived"`
	CreatedBy     UserID      `json:"created_by"`
	TutorID       *UserID     `json:"tutor_id"`
	Subject       *string     `json:"subject"`
	Topic         *string     `json:"topic"`
	MemberCount   int64       `json:"member_count"`
	MessageCount  int64       `json:"message_count" doc:"Messages ever sent here, deleted ones included"`
	LastMessageAt *Time       `json:"last_message_at"`
	CreatedAt     Time        `json:"created_at"`
	UpdatedAt     Time        `json:"updated_at"`
	LastSeq       Seq         `json:"last_seq"`
	MyMembership  *Membership `json:"my_membership" doc:"null for a channel of which the caller is not a member"`
	// The old front-end looks for these two here instead of in my_membership.
	UnreadCount int64 `json:"unread_count"`
	IsStarred   bool  `json:"is_starred"`
}

// Membership is one user's place in one channel.
type Membership struct {
	UserID               UserID            `json:"user_id"`
	Role                 Role              `json:"role" enum:"owner,admin,member,guest"`
	IsStarred            bool              `json:"is_starred"`
	IsMuted              bool              `json:"is_muted"`
	NotificationsEnabled bool              `json:"notifications_enabled"`
	NotificationLevel    NotificationLevel `json:"notification_level" enum:"all,mentions,none"`
	UnreadCount          int64             `json:"unread_count"`
	JoinedAt             Time              `json:"joined_at"`
	LastReadAt           *Time             `json:"last_read_at"`
	LastReadSeq          Seq               `json:"last_read_seq"`
}

// Member is a membership as the other members see it: no private settings.
type Member struct {
	UserID      UserID   `json:"user_id"`
	Role        Role     `json:"role" enum:"owner,admin,member,guest"`
	JoinedAt    Time     `json:"joined_at"`
	LastReadSeq Seq      `json:"last_read_seq"`
	User        *UserRef `json:"user,omitempty"`
}

// ChannelPatch says what to change of a channel; nil leaves a field as it is.
type ChannelPatch struct {
	Name        *string `json:"name,omitempty"`
	Description *string `json:"description,omitempty"`
	Topic       *string `json:"topic,omitempty"`
	IsArchived  *bool   `json:"is_archived,omitempty"`
}

// MembershipPatch says what to change of one's own membership; nil leaves a field
// as it is.
type MembershipPatch struct {
	IsStarred            *bool              `json:"is_starred,omitempty"`
	IsMuted              *bool              `json:"is_muted,omitempty"`
	NotificationsEnabled *bool              `json:"notifications_enabled,omitempty"`
	NotificationLevel    *NotificationLevel `json:"notification_level,omitempty" enum:"all,mentions,none"`
}

// ChannelState is what a socket needs to know of one of its user's channels when it
// opens.
type ChannelState struct {
	ID          ID    `json:"id"`
	LastSeq     Seq   `json:"last_seq"`
	LastReadSeq Seq   `json:"last_read_seq"`
	UnreadCount int64 `json:"unread_count"`
	Role        Role  `json:"-"`
	IsArchived  bool  `json:"-"`
	// JoinedSeq is the entry by which the user became a member, 0 when the channel
	// began with him.
	JoinedSeq Seq `json:"-"`
}
