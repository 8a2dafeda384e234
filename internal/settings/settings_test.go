package settings

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// example has a setting of each type.
type example struct {
	Name  string        `name:"name" default:"a" enum:"a,b"`
	On    bool          `name:"on"`
	Count int           `name:"count" default:"3" min:"1" max:"9"`
	Size  int64         `name:"size" default:"64KiB" min:"0" max:"1GiB" is:"bytes"`
	Wait  time.Duration `name:"wait" default:"1h" min:"0s" max:"24h"`
	Ratio float64       `name:"ratio" default:"0.5" min:"0" max:"1"`
	Group struct {
		Sites []string       `name:"group.sites" is:"origin"`
		Nets  []netip.Prefix `name:"group.nets"`
	}
	URL    string `name:"url" is:"smtp" secret:"url"`
	Secret string `name:"secret" secret:"all"`

	Other func() // is not a setting
}

func setting(t *testing.T, name string) Setting {
	t.Helper()
	for _, s := range Of[example]() {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no setting %s", name)
	return Setting{}
}

func TestOfFindsSettingsInOrder(t *testing.T) {
	var names []string
	for _, s := range Of[example]() {
		names = append(names, s.Name)
	}
	want := []string{"name", "on", "count", "size", "wait", "ratio", "group.sites", "group.nets", "url", "secret"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSetAndShow(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       any
	}{
		{"name", "b", "b"},
		{"on", "yes", true},
		{"on", "OFF", false},
		{"count", "9", 9},
		{"size", "1048576", "1MiB"},
		{"size", "3 KiB", "3KiB"},
		{"size", "1000", "1000B"},
		{"size", "0", "0B"},
		{"wait", "90m", "1h30m"},
		{"wait", "3600s", "1h"},
		{"wait", "0s", "0s"},
		{"ratio", "1", 1.0},
		{"group.sites", " https://A.example ,, http://b.example:81", []string{"https://a.example", "http://b.example:81"}},
		{"group.sites", "", []string{}},
		{"group.nets", "10.1.2.3/8, ::1", []string{"10.0.0.0/8", "::1/128"}},
		{"url", "smtp://u:hush@mail.example:25", "smtp://u:********@mail.example:25"},
		{"secret", "hush", "********"},
		{"secret", "", ""},
	} {
		var e example
		s := setting(t, c.name)
		if err := s.Set(&e, c.text); err != nil {
			t.Errorf("%s is refused: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(c.want, s.Shown(&e)); diff != "" {
			t.Errorf("%s %q (-want +got):\n%s", c.name, c.text, diff)
		}
	}
}

func TestSetRefuses(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"name", "c", `name must be one of a, b, not "c"`},
		{"on", "maybe", `on must be true or false, not "maybe"`},
		{"count", "10", `count must be a whole number from 1 to 9, not "10"`},
		{"count", "", `count must be a whole number from 1 to 9, not ""`},
		{"size", "-1", `size must be a size such as 65536 or 64KiB, from 0 to 1GiB, not "-1"`},
		{"size", "9999999999GiB", `size must be a size such as 65536 or 64KiB, from 0 to 1GiB, not "9999999999GiB"`},
		{"wait", "5", `wait must be a duration such as 30s or 5m, from 0s to 24h, not "5"`},
		{"ratio", "NaN", `ratio must be a number from 0 to 1, not "NaN"`},
		{
			"group.nets", "10.0.0.0/99",
			`group.nets must be a list of networks such as 10.0.0.0/8 or addresses such as 192.0.2.1, not "10.0.0.0/99"`,
		},
		{
			"url", "http://u:hush@h",
			"url must be smtp://user:password@host:587 or smtps://user:password@host:465 (value hidden)",
		},
	} {
		var e example
		if err := setting(t, c.name).Set(&e, c.text); err == nil || err.Error() != c.want {
			t.Errorf("got error %v, want %s", err, c.want)
		}
	}
}

func TestDefaultsFillWhatIsZero(t *testing.T) {
	e := example{Count: 5}
	SetDefaults(&e)
	want := example{Name: "a", Count: 5, Size: 64 << 10, Wait: time.Hour, Ratio: 0.5}
	if diff := cmp.Diff(want, e, cmp.Comparer(func(a, b func()) bool { return (a == nil) == (b == nil) })); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCheckFindsEachBadValue(t *testing.T) {
	e := example{Count: 77, Ratio: 2}
	e.Group.Sites = []string{"https://OK.example"}
	SetDefaults(&e)
	var got []string
	for _, err := range Check(&e) {
		got = append(got, err.Error())
	}
	want := []string{
		`count must be a whole number from 1 to 9, not "77"`,
		`ratio must be a number from 0 to 1, not "2"`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if e.Group.Sites[0] != "https://ok.example" {
		t.Errorf("the origin is %s, want its usual spelling", e.Group.Sites[0])
	}
}

// TestMaskURLShowsNoSecret, whatever the text is.
func TestMaskURLShowsNoSecret(t *testing.T) {
	for _, text := range []string{
		"postgres://u:hUsh@h/db", "postgres://h/db?password=hUsh&x=1", "https://h/?api_key=hUsh", "%zz:hUsh",
		"https://u:hUsh@h:port/",
	} {
		if got := MaskURL(text); strings.Contains(got, "hUsh") {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]struct {
		loopback bool
		local    string
	}{
		"127.0.0.1:1":          {true, "127.0.0.1:1"},
		"[::1]:1":              {true, "[::1]:1"},
		"localhost:1":          {true, "localhost:1"},
		"[::ffff:127.0.0.1]:1": {true, "[::ffff:127.0.0.1]:1"},
		":1":                   {false, "localhost:1"},
		"0.0.0.0:1":            {false, "localhost:1"},
		"[::]:1":               {false, "localhost:1"},
		"192.0.2.1:1":          {false, "192.0.2.1:1"},
		"not an address":       {false, "not an address"},
	} {
		if got := IsLoopback(address); got != want.loopback {
			t.Errorf("IsLoopback(%s) is %v", address, got)
		}
		if got := LocalAddress(address); got != want.local {
			t.Errorf("LocalAddress(%s) is %s, want %s", address, got, want.local)
		}
	}
}
