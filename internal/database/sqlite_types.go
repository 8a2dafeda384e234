package database

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"zombiezen.com/go/sqlite"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/model"
)

// sqliteText rewrites a statement for SQLite: $1 becomes ?1, because SQLite takes $1
// for a name, bound in the order of first appearance, and "= ANY($1)" becomes a search
// in a JSON array.
func sqliteText(sql string, args []any) string {
	for i, a := range args {
		value := ""
		switch a.(type) {
		case []chat.ID, []model.TokenHash:
			value = "unhex(value)"
		case []string, []chat.UserID:
			value = "value"
		default:
			continue
		}
		n := fmt.Sprint("$", i+1)
		sql = strings.ReplaceAll(sql, "= ANY("+n+")", "IN (SELECT "+value+" FROM json_each("+n+"))")
	}
	return RepeatText(sql)
}

// RepeatText returns a statement as Repeater.Repeat takes it: with ?1 in place of $1.
func RepeatText(sql string) string { return strings.ReplaceAll(sql, "$", "?") }

func bind(s *sqlite.Stmt, i int, a any) error {
	switch a := a.(type) {
	case nil:
		s.BindNull(i)
	case int64:
		s.BindInt64(i, a)
	case int:
		s.BindInt64(i, int64(a))
	case bool:
		s.BindBool(i, a)
	case string:
		s.BindText(i, a)
	case []byte:
		s.BindBytes(i, a)
	case chat.Time:
		s.BindInt64(i, int64(a))
	case chat.UserID:
		s.BindText(i, string(a))
	case chat.ID:
		s.BindBytes(i, a[:])
	case model.TokenHash:
		s.BindBytes(i, a[:])
	case *string:
		return bindPointer(s, i, a)
	case *int64:
		return bindPointer(s, i, a)
	case *bool:
		return bindPointer(s, i, a)
	case *chat.ID:
		return bindPointer(s, i, a)
	case *chat.UserID:
		return bindPointer(s, i, a)
	case []chat.ID:
		return bindJSON(s, i, hexes(a))
	case []model.TokenHash:
		return bindJSON(s, i, hexes(a))
	case []string, []chat.UserID:
		return bindJSON(s, i, a)
	default:
		return fmt.Errorf("bind parameter %d: unsupported type %T", i, a)
	}
	return nil
}

func bindPointer[T any](s *sqlite.Stmt, i int, p *T) error {
	if p == nil {
		s.BindNull(i)
		return nil
	}
	return bind(s, i, *p)
}

func bindJSON(s *sqlite.Stmt, i int, v any) error {
	b, err := json.Marshal(v)
	s.BindText(i, string(b))
	return err
}

func hexes[T chat.ID | model.TokenHash](ids []T) []string {
	all := make([]string, len(ids))
	for i := range ids {
		switch id := any(ids[i]).(type) {
		case chat.ID:
			all[i] = hex.EncodeToString(id[:])
		case model.TokenHash:
			all[i] = hex.EncodeToString(id[:])
		}
	}
	return all
}

type sqliteRow struct{ stmt *sqlite.Stmt }

// Scan is documented at Row.
func (r sqliteRow) Scan(into ...any) error {
	for i, p := range into {
		if r.stmt.ColumnIsNull(i) {
			switch p.(type) {
			case **string, **int64, **chat.ID, **chat.UserID:
				continue
			}
			return fmt.Errorf("scan column %d: NULL into %T", i, p)
		}
		if err := scanSQLite(r.stmt, i, p); err != nil {
			return err
		}
	}
	return nil
}

func scanSQLite(s *sqlite.Stmt, i int, p any) error {
	switch p := p.(type) {
	case *int64:
		*p = s.ColumnInt64(i)
	case *bool:
		*p = s.ColumnInt64(i) != 0
	case *string:
		*p = s.ColumnText(i)
	case *[]byte:
		*p = make([]byte, s.ColumnLen(i))
		s.ColumnBytes(i, *p)
	case *chat.Time:
		*p = chat.Time(s.ColumnInt64(i))
	case *chat.UserID:
		*p = chat.UserID(s.ColumnText(i))
	case *chat.ID:
		s.ColumnBytes(i, p[:])
	case *model.TokenHash:
		s.ColumnBytes(i, p[:])
	case **string:
		*p = new(string)
		return scanSQLite(s, i, *p)
	case **int64:
		*p = new(int64)
		return scanSQLite(s, i, *p)
	case **chat.ID:
		*p = new(chat.ID)
		return scanSQLite(s, i, *p)
	case **chat.UserID:
		*p = new(chat.UserID)
		return scanSQLite(s, i, *p)
	case Int64Target:
		p.SetInt64(s.ColumnInt64(i))
	case TextTarget:
		return p.SetText(s.ColumnText(i))
	default:
		return fmt.Errorf("scan column %d: unsupported type %T", i, p)
	}
	return nil
}
