package history

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/chowk-chat/chowk/chat"
)

// magic is the beginning of a file; the digit is the version of the format. Then
// follow, all little-endian: the numbers of channels, names and records (uint32,
// uint32, uint64); each channel's id; each name as a length byte and its bytes; the
// records.
const magic = "chowk history 1\n"

const recordSize = 48

// maxTable bounds the numbers of channels and names that a file may claim.
const maxTable = 1 << 24

var errFormat = errors.New("this is not a history of a known version")

// Write writes h in the format of a file.
func (h *History) Write(w io.Writer) error {
	b := bufio.NewWriterSize(w, 1<<20)
	head := append([]byte(nil), magic...)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(h.Channels)))
	head = binary.LittleEndian.AppendUint32(head, uint32(len(h.Names)))
	head = binary.LittleEndian.AppendUint64(head, uint64(len(h.Records)))
	for _, id := range h.Channels {
		head = append(head, id[:]...)
	}
	for _, u := range h.Names {
		head = append(append(head, byte(len(u))), u...)
	}
	if _, err := b.Write(head); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	var buf [recordSize]byte
	for i := range h.Records {
		h.Records[i].encode(&buf)
		if _, err := b.Write(buf[:]); err != nil {
			return fmt.Errorf("write a history: %w", err)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write a history: %w", err)
	}
	return nil
}

// Read reads what Write has written.
func Read(r io.Reader) (*History, error) {
	b := bufio.NewReaderSize(r, 1<<20)
	var head [len(magic) + 16]byte
	if _, err := io.ReadFull(b, head[:]); err != nil || string(head[:len(magic)]) != magic {
		return nil, errFormat
	}
	numbers := head[len(magic):]
	channels, names := binary.LittleEndian.Uint32(numbers), binary.LittleEndian.Uint32(numbers[4:])
	records := binary.LittleEndian.Uint64(numbers[8:])
	if channels > maxTable || names > maxTable {
		return nil, errFormat
	}
	h := &History{}
	for range channels {
		var id chat.ID
		if _, err := io.ReadFull(b, id[:]); err != nil {
			return nil, fmt.Errorf("read a history's channels: %w", err)
		}
		h.Channels = append(h.Channels, id)
	}
	for range names {
		n, err := b.ReadByte()
		name := make([]byte, n)
		if err == nil {
			_, err = io.ReadFull(b, name)
		}
		if err != nil {
			return nil, fmt.Errorf("read a history's users: %w", err)
		}
		h.Names = append(h.Names, chat.UserID(name))
	}
	var buf [recordSize]byte
	for range records {
		if _, err := io.ReadFull(b, buf[:]); err != nil {
			return nil, fmt.Errorf("read a history's records: %w", err)
		}
		r := decode(&buf)
		if r.Kind == 0 || r.Kind >= kinds || r.Channel > channels || r.Session > names || r.User > names {
			return nil, errFormat
		}
		h.Records = append(h.Records, r)
	}
	return h, nil
}

func (r *Record) encode(b *[recordSize]byte) {
	b[0], b[1] = byte(r.Kind), byte(r.What)
	binary.LittleEndian.PutUint16(b[2:], r.Flags)
	binary.LittleEndian.PutUint32(b[4:], r.Session)
	binary.LittleEndian.PutUint64(b[8:], uint64(r.At))
	binary.LittleEndian.PutUint64(b[16:], uint64(r.Seq))
	copy(b[24:40], r.ID[:])
	binary.LittleEndian.PutUint32(b[40:], r.Channel)
	binary.LittleEndian.PutUint32(b[44:], r.User)
}

func decode(b *[recordSize]byte) Record {
	return Record{
		Kind: Kind(b[0]), What: What(b[1]), Flags: binary.LittleEndian.Uint16(b[2:]),
		Session: binary.LittleEndian.Uint32(b[4:]),
		At:      int64(binary.LittleEndian.Uint64(b[8:])), Seq: int64(binary.LittleEndian.Uint64(b[16:])),
		ID:      chat.ID(b[24:40]),
		Channel: binary.LittleEndian.Uint32(b[40:]), User: binary.LittleEndian.Uint32(b[44:]),
	}
}
