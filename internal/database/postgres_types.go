package database

import (
	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// postgresArgs converts arguments to types that pgx encodes without reflection.
func postgresArgs(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = postgresArg(a)
	}
	return out
}

func postgresArg(a any) any {
	switch a := a.(type) {
	case chat.ID:
		return [16]byte(a)
	case *chat.ID:
		return (*[16]byte)(a)
	case []chat.ID:
		return converted(a, func(id *chat.ID) [16]byte { return *id })
	case []*chat.ID:
		return converted(a, func(id **chat.ID) *[16]byte { return (*[16]byte)(*id) })
	case model.TokenHash:
		return a[:]
	case []model.TokenHash:
		return converted(a, func(h *model.TokenHash) []byte { return h[:] })
	case chat.UserID:
		return string(a)
	case *chat.UserID:
		return (*string)(a)
	case []chat.UserID:
		return converted(a, func(u *chat.UserID) string { return string(*u) })
	case chat.Time:
		return int64(a)
	case []chat.Time:
		return converted(a, func(t *chat.Time) int64 { return int64(*t) })
	}
	return a
}

func converted[From, To any](from []From, convert func(*From) To) []To {
	to := make([]To, len(from))
	for i := range from {
		to[i] = convert(&from[i])
	}
	return to
}

type postgresRow struct{ rows pgx.Rows }

// Scan is documented at Row.
func (r postgresRow) Scan(into ...any) error {
	dest := make([]any, len(into))
	var after []func() error
	for i, p := range into {
		switch p := p.(type) {
		case *chat.ID:
			dest[i] = (*[16]byte)(p)
		case *chat.UserID:
			dest[i] = (*string)(p)
		case *chat.Time:
			dest[i] = (*int64)(p)
		case *model.TokenHash:
			b := new([]byte)
			dest[i] = b
			after = append(after, func() error { copy(p[:], *b); return nil })
		case **chat.ID:
			b := new(*[16]byte)
			dest[i] = b
			after = append(after, func() error { *p = (*chat.ID)(*b); return nil })
		case **chat.UserID:
			b := new(*string)
			dest[i] = b
			after = append(after, func() error { *p = (*chat.UserID)(*b); return nil })
		case Int64Target:
			b := new(int64)
			dest[i] = b
			after = append(after, func() error { p.SetInt64(*b); return nil })
		case TextTarget:
			b := new(string)
			dest[i] = b
			after = append(after, func() error { return p.SetText(*b) })
		default:
			dest[i] = p
		}
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	for _, f := range after {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}
