package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chowk-chat/chowk/chat"
	"github.com/chowk-chat/chowk/internal/history"
)

func TestCheckExitsByTheHistory(t *testing.T) {
	id := chat.NewID()
	sends := []history.Record{
		{Kind: history.Invoked, What: history.WhatOf(chat.EventMessage), Flags: history.FlagSend, At: 1, ID: id},
		{Kind: history.Acked, What: history.WhatOf(chat.EventMessage), Flags: history.FlagSend, At: 2, ID: id, Seq: 2},
	}
	founded := history.Record{Kind: history.Stored, What: history.Creation, Seq: 1}
	stored := history.Record{Kind: history.Stored, What: history.WhatOf(chat.EventMessage), Seq: 2, ID: id}
	for name, c := range map[string]struct {
		records []history.Record
		code    int
		says    string
	}{
		"what was acknowledged is stored": {
			append([]history.Record{founded, stored}, sends...), exitOK,
			"no guarantee was broken",
		},
		"it is not stored": {
			append([]history.Record{founded}, sends...), exitFailed,
			string(history.Acknowledged),
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &history.History{Channels: []chat.ID{chat.NewID()}, Names: []chat.UserID{"alice"}, Records: c.records}
			var file, out, errs bytes.Buffer
			if err := h.Write(&file); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "h.bin")
			if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
			code := invocation{args: []string{"check", path}, out: &out, err: &errs}.run(t.Context())
			if code != c.code || !strings.Contains(out.String(), c.says) {
				t.Errorf("exit code %d, want %d; output %s%s", code, c.code, out.String(), errs.String())
			}
		})
	}
	var out, errs bytes.Buffer
	if code := (invocation{args: []string{"check", "check_test.go"}, out: &out, err: &errs}).
		run(t.Context()); code != exitFailed || !strings.Contains(errs.String(), "not a history") {
		t.Errorf("another kind of file: exit code %d, %s", code, errs.String())
	}
}
