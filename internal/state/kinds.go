package state

import (
	"errors"
	"fmt"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// kind is a line of the table kinds. Every field except author and others is required.
type kind struct {
	// name is for metrics and logs.
	name  string
	about about
	// actors are the kinds of actors that may make the change.
	actors model.ActorKinds
	// roles are the roles that may make the change. With author, the author of the message
	// may as well, while they are a member. others returns true for those who may although
	// neither their role nor their authorship allows it; nil allows no one else.
	roles  chat.Roles
	author bool
	others func(*Change, *target) bool
	// refusal is the text for a member with a role that does not suffice.
	refusal string
	archive archive
	// load adds the rows that the decision needs.
	load func(*Needs, *Change)
	// apply alters the rows and returns the entry, nil if there is nothing to do. An error
	// is a *chat.Error, and then nothing may have been altered.
	apply func(*Group, *Change, *target) (*chat.Entry, error)
}

// about is what a change concerns. It decides which rows must exist and what the outcome
// carries.
type about uint8

const (
	aNewChannel about = iota + 1
	aNewMessage
	aMessage // of the channel, and not deleted
	aMember  // of a channel that is not direct
	aChannel
)

// archive states whether an archived channel allows the change.
type archive uint8

const (
	allowed archive = iota + 1
	refused
)

var (
	everyActor     = model.Actors(model.ActorUser, model.ActorBot, model.ActorWebhook, model.ActorKey, model.ActorSystem)
	exceptWebhooks = everyActor &^ model.Actors(model.ActorWebhook)
)

// kinds is what each kind of change means. It is checked when the program starts.
var kinds = [endOfKinds]kind{
	CreateChannel: {
		name: "create_channel", about: aNewChannel,
		actors: exceptWebhooks, roles: chat.Anyone, refusal: "You cannot create channels",
		archive: allowed, load: loadNewChannel, apply: (*Group).createChannel,
	},
	SendMessage: {
		name: "send_message", about: aNewMessage,
		actors: everyActor, roles: chat.Members,
		refusal: "Your role in this channel does not let you send messages",
		archive: refused, load: loadNewMessage, apply: (*Group).sendMessage,
	},
	EditMessage: {
		name: "edit_message", about: aMessage,
		actors: exceptWebhooks, author: true, refusal: "Can only update your own messages",
		archive: refused, load: loadMessage, apply: (*Group).editMessage,
	},
	DeleteMessage: {
		name: "delete_message", about: aMessage,
		actors: exceptWebhooks, roles: chat.Managers, author: true, refusal: "Can only delete your own messages",
		archive: refused, load: loadMessage, apply: (*Group).deleteMessage,
	},
	AddReaction: {
		name: "add_reaction", about: aMessage,
		actors: exceptWebhooks, roles: chat.Members,
		refusal: "Your role in this channel does not let you add reactions",
		archive: refused, load: loadReactions, apply: (*Group).addReaction,
	},
	RemoveReaction: {
		name: "remove_reaction", about: aMessage,
		actors: exceptWebhooks, roles: chat.Members,
		refusal: "Your role in this channel does not let you remove reactions",
		archive: refused, load: loadReactions, apply: (*Group).removeReaction,
	},
	PinMessage: {
		name: "pin_message", about: aMessage,
		actors: exceptWebhooks, roles: chat.Managers, refusal: "Only channel admins/owners can pin messages",
		archive: refused, load: loadPins, apply: setPinned(true, chat.EventMessagePinned),
	},
	UnpinMessage: {
		name: "unpin_message", about: aMessage,
		actors: exceptWebhooks, roles: chat.Managers, refusal: "Only channel admins/owners can unpin messages",
		archive: refused, load: loadPins, apply: setPinned(false, chat.EventMessageUnpinned),
	},
	AddMember: {
		name: "add_member", about: aMember,
		actors: exceptWebhooks, roles: chat.Managers, others: joinsPublicChannel,
		refusal: "Only channel admins/owners can add members",
		archive: refused, load: loadMember, apply: (*Group).addMember,
	},
	RemoveMember: {
		name: "remove_member", about: aMember,
		actors: exceptWebhooks, roles: chat.Managers, others: leaves,
		refusal: "Only channel admins/owners can remove members",
		archive: allowed, load: loadMember, apply: (*Group).removeMember,
	},
	UpdateMember: {
		name: "update_member", about: aMember,
		actors: exceptWebhooks, roles: chat.Managers, refusal: "Only channel admins/owners can change roles",
		archive: allowed, load: loadMember, apply: (*Group).updateMember,
	},
	UpdateChannel: {
		name: "update_channel", about: aChannel,
		actors: exceptWebhooks, roles: chat.Managers, refusal: "Only channel admins/owners can update channel",
		archive: allowed, load: loadChannel, apply: (*Group).updateChannel,
	},
}

func init() {
	if err := checkKinds(kinds[1:]); err != nil {
		panic("state: the table of kinds is incomplete:\n" + err.Error())
	}
}

// checkKinds returns an error for each part that a line lacks.
func checkKinds(lines []kind) error {
	var all []error
	names := make(map[string]bool)
	for i, k := range lines {
		for part, missing := range map[string]bool{
			"name": k.name == "", "name of its own": names[k.name],
			"about": k.about < aNewChannel || k.about > aChannel, "actors": k.actors == 0,
			"roles": k.roles == 0 && !k.author, "message for its author": k.author && k.about != aMessage,
			"refusal": k.refusal == "", "archive": k.archive < allowed || k.archive > refused,
			"load": k.load == nil, "apply": k.apply == nil,
		} {
			if missing {
				all = append(all, fmt.Errorf("kind %d (%q) has no %s", i+1, k.name, part))
			}
		}
		names[k.name] = true
	}
	return errors.Join(all...)
}

// Kinds returns all kinds of change.
func Kinds() []ChangeKind {
	all := make([]ChangeKind, 0, len(kinds)-1)
	for k := CreateChannel; k < endOfKinds; k++ {
		all = append(all, k)
	}
	return all
}

// String returns the kind's name for metrics and logs, such as "send_message".
func (k ChangeKind) String() string {
	if k == 0 || k >= endOfKinds {
		return fmt.Sprintf("change kind %d", uint8(k))
	}
	return kinds[k].name
}
