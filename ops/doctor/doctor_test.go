package doctor

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"muniment.dev/ops"
)

// Each thing that bites is found, and what is in order is not.
func TestNetwork(t *testing.T) {
	for _, c := range []struct {
		listen, url string
		tls         bool
		want        Level
	}{
		{"127.0.0.1:8300", "http://localhost:8300", false, OK},
		{"[::1]:8300", "https://id.example.org", false, OK},
		{"localhost:8300", "https://id.example.org", false, OK},
		{"0.0.0.0:443", "https://id.example.org", true, OK},
		{"0.0.0.0:8300", "https://id.example.org", false, Warning},
		{"10.1.2.3:8300", "http://localhost", false, Problem},
		{"8300", "https://id.example.org", false, Unknown},
		{"10.1.2.3:8300", "id.example.org", false, Unknown},
	} {
		got := network(t.Context(), &Patient{Listen: c.listen, ExternalURL: c.url, TLS: c.tls})
		if len(got) != 1 || got[0].Level != c.want || c.want != OK && got[0].Do == "" {
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

func TestPrivate(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l := ops.DefaultLayout(dir)
	write(t, l.Root, 0o600)
	write(t, l.Keys, 0o640)
	write(t, dir+"/tls.pem", 0o600)
	got := private(t.Context(), &Patient{Layout: l, Private: map[string]string{"tls key": dir + "/tls.pem", "metrics token": dir + "/none"}})
	levels := map[string]Level{}
	for _, f := range got {
		levels[f.About] = f.Level
	}
	want := map[string]Level{"root key": OK, "keys": Problem, "data": OK, "tls key": OK, "metrics token": Warning}
	for about, level := range want {
		if levels[about] != level {
			t.Errorf("%s: %s, want %s", about, levels[about], level)
		}
	}
	for _, f := range got {
		if f.About == "keys" && f.Do != "chmod 600 "+l.Keys {
			t.Errorf("advice: %s", f.Do)
		}
	}
}

func write(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, nil, mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // whatever the umask is
		t.Fatal(err)
	}
}

func TestRoom(t *testing.T) {
	for _, c := range []struct {
		s    volume
		want Level
	}{
		{volume{free: 500 << 30, total: 1 << 40}, OK},
		{volume{free: 5 << 30, total: 20 << 30}, OK}, // a small disk, mostly empty
		{volume{free: 5 << 30, total: 1 << 40}, Warning},
		{volume{free: 500 << 20, total: 1 << 30}, Problem},
		{volume{free: 500 << 30, total: 1 << 40, kind: "nfs", remote: true}, Problem},
		{volume{free: 500 << 30, total: 1 << 40, kind: "tmpfs", fleeting: true}, Problem},
	} {
		if got := Worst(room("data", c.s)); got != c.want {
			t.Errorf("%+v: %s, want %s", c.s, got, c.want)
		}
	}
}

// What guards the log is looked for where the log is not.
func TestApart(t *testing.T) {
	l := ops.DefaultLayout(t.TempDir())
	write(t, l.Register, 0o600)
	write(t, l.Root, 0o600)
	if err := os.Mkdir(l.Log, 0o700); err != nil {
		t.Fatal(err)
	}
	got := apart(t.Context(), &Patient{Layout: l})
	if _, err := sameDisk(l.Log, l.Register); err != nil {
		t.Skip("disks cannot be told here: ", err)
	}
	if len(got) != 2 || got[0].Level != Warning || got[1].Level != Warning {
		t.Errorf("on one disk: %+v", got)
	}
	l.Register = "etcd://127.0.0.1:2379/muniment"
	if got := apart(t.Context(), &Patient{Layout: l}); len(got) != 1 || got[0].About != "root key" {
		t.Errorf("a register elsewhere: %+v", got)
	}
}

// A directory without an instance is looked at all the same, and the worst comes
// first.
func TestLook(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	got := Look(t.Context(), Patient{Layout: ops.DefaultLayout(dir), Listen: "10.0.0.1:1", ExternalURL: "http://localhost", Now: time.Now,
		More: []Check{func(context.Context, *Patient) []Finding { return ok("more", "was asked") }}})
	var text strings.Builder
	Write(&text, got)
	if !strings.HasPrefix(text.String(), "PROBLEM  network") || !strings.Contains(text.String(), "there is no instance") || !strings.Contains(text.String(), "was asked") {
		t.Errorf("printed\n%s", text.String())
	}
	if Worst(got) != Problem {
		t.Errorf("worst is %s", Worst(got))
	}
}
