package database

import (
	"github.com/jackc/pgx/v5"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// forPostgres gives pgx the types that it knows.
func forPostgres(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		switch a := a.(type) {
		case chat.ID:
			out[i] = [16]byte(a)
		case *chat.ID:
			out[i] = (*[16]byte)(a)
		case []chat.ID:
			ids := make([][16]byte, len(a))
			for j := range a {
				ids[j] = a[j]
			}
			out[i] = ids
		case model.TokenHash:
			out[i] = a[:]
		case []model.TokenHash:
			hashes := make([][]byte, len(a))
			for j := range a {
				hashes[j] = a[j][:]
			}
			out[i] = hashes
		case []chat.UserID:
			users := make([]string, len(a))
			for j := range a {
				users[j] = string(a[j])
			}
			out[i] = users
		case chat.UserID:
			out[i] = string(a)
		case chat.Time:
			out[i] = int64(a)
		case *chat.UserID:
			out[i] = (*string)(a)
		default:
			out[i] = a
		}
	}
	return out
}

type postgresRow struct{ rows pgx.Rows }

func (r postgresRow) Scan(into ...any) error {
	dest := make([]any, len(into))
	var after []func()
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
			after = append(after, func() { copy(p[:], *b) })
		case **chat.ID:
			b := new(*[16]byte)
			dest[i] = b
			after = append(after, func() { *p = (*chat.ID)(*b) })
		case **chat.UserID:
			b := new(*string)
			dest[i] = b
			after = append(after, func() { *p = (*chat.UserID)(*b) })
		default:
			dest[i] = p
		}
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	for _, f := range after {
		f()
	}
	return nil
}
