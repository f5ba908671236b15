//go:build linux && amd64

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"muniment.dev/event"
	"muniment.dev/internal/postgres"
	"muniment.dev/internal/sysfault"
)

// readiness asks a server whether it is ready.
func readiness(t *testing.T, url string) (status int, why string) {
	t.Helper()
	res, err := http.Get(url + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, strings.TrimSpace(string(b))
}

// becomes waits until a server is, or is not, ready.
func becomes(t *testing.T, url string, status int, why string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		is, text := readiness(t, url)
		if is == status && strings.Contains(text, why) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("/readyz says %d %q, want %d %q", is, text, status, why)
		}
	}
}

// fill leaves a file system with so many bytes.
func fill(t *testing.T, path string, leave uint64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for {
		var st syscall.Statfs_t
		if err := syscall.Statfs(filepath.Dir(path), &st); err != nil {
			t.Fatal(err)
		}
		free := st.Bavail * uint64(st.Bsize)
		if free <= leave {
			return
		}
		if _, err := f.Write(block[:min(uint64(len(block)), free-leave)]); err != nil {
			return // there is no more
		}
	}
}

// shipped is what a publisher was answered.
type shipped struct {
	id, text, after string
	status          int
}

// shipping defines a type of event, and answers a function that publishes one.
func (in *installation) shipping(token string) func(id string) shipped {
	in.t.Helper()
	must := func(method, path, body string) string {
		in.t.Helper()
		status, _, text := in.rest(method, path, token, body)
		if status != http.StatusOK {
			in.t.Fatalf("%s: %d %s", path, status, text)
		}
		return text
	}
	const dialect = `"$schema": "https://json-schema.org/draft/2020-12/schema"`
	documents, err := json.Marshal(map[string]any{"documents": []map[string]string{
		{"file": "ship.json", "text": `{` + dialect + `, "x-entity-type": "ship", "title": "Ship", "type": "object", "properties": {"name": {"type": "string", "x-unique": "instance"}}}`},
		{"file": "ship-built.json", "text": `{` + dialect + `, "x-event": "ship-built", "x-entity": "ship", "title": "A ship was built", "type": "object", "x-creates": true, "additionalProperties": false, "properties": {"name": {"type": "string"}}}`}}})
	if err != nil {
		in.t.Fatal(err)
	}
	must("POST", "/v1/schema:apply", string(documents))
	var me struct{ User struct{ ID string } }
	if err := json.Unmarshal([]byte(must("GET", "/v1/me", "")), &me); err != nil || me.User.ID == "" {
		in.t.Fatalf("nobody is signed in: %v", err)
	}
	must("POST", "/v1/permissions:grant", `{"userId":"`+me.User.ID+`","right":"EVENT_RIGHT_PUBLISH","eventTypes":"ship-*","scope":{"instance":true}}`)
	return func(id string) shipped {
		status, header, text := in.rest("POST", "/v1/events", token, `{"events":[{"id":"`+id+`","type":"ship-built","entityId":"`+id+`","dataJson":"{\"name\":\"`+id+`\"}"}]}`)
		return shipped{id: id, text: text, after: header.Get("Retry-After"), status: status}
	}
}

// A disk that fills up stops changes, and nothing else: /readyz and the answers
// say why and what to do, reads go on, and when there is room again the same
// process goes on. Nothing that was acknowledged is lost, even if not one byte
// was left.
func TestDiskFull(t *testing.T) {
	postgres.SkipIfChosen(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=256m"); err != nil {
		t.Skipf("no small file system can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	in := installIn(t, filepath.Join(dir, "data"))
	token, org := in.login(), in.organization()
	before := event.NewID().String()
	_, was, err := create(http.DefaultClient, in.url, token, org, before)
	if err != nil {
		t.Fatal(err)
	}
	becomes(t, in.url, 200, "ready")
	refused := event.NewID().String()
	ship := in.shipping(token)
	kept, late := ship(event.NewID().String()), event.NewID().String()
	if kept.status != 200 {
		t.Fatalf("%+v", kept)
	}
	for _, leave := range []uint64{48 << 20, 0} {
		fill(t, filepath.Join(dir, "ballast"), leave)
		becomes(t, in.url, 503, "the disk is full: less than 64 MiB are free; make room and try again")
		status, _, err := create(http.DefaultClient, in.url, token, org, refused)
		if status != 503 || !strings.Contains(err.Error(), "nothing was changed") || !strings.Contains(err.Error(), "make room") {
			t.Errorf("a change with %d bytes free: %d %v", leave, status, err)
		}
		if status, is, err := create(http.DefaultClient, in.url, token, org, before); err != nil || !is.Change.Replayed || is.UserID != was.UserID {
			t.Errorf("what is recorded already, asked again: %d %v %v", status, is, err)
		}
		if got := ship(late); got.status != 503 || got.after == "" || !strings.Contains(got.text, "make room") {
			t.Errorf("an event with %d bytes free: %+v", leave, got)
		}
		if got := ship(kept.id); got.status != 200 || !strings.Contains(got.text, `"repeated":true`) {
			t.Errorf("an event that is recorded already, sent again: %+v", got)
		}
		time.Sleep(500 * time.Millisecond) // for what works by itself to meet it
	}
	select {
	case <-in.exited:
		t.Fatalf("the server ended: %s", in.errors())
	default:
	}
	if err := os.Remove(filepath.Join(dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	becomes(t, in.url, 200, "ready")
	if _, now, err := create(http.DefaultClient, in.url, token, org, refused); err != nil || now.Change.Replayed {
		t.Errorf("what was refused, asked again with room: %v %v", now, err)
	}
	if got := ship(late); got.status != 200 || strings.Contains(got.text, `"repeated":true`) {
		t.Errorf("an event that was refused, sent again with room: %+v", got)
	}
	if got := ship(kept.id); got.status != 200 || !strings.Contains(got.text, `"repeated":true`) {
		t.Errorf("an event that was acknowledged before, sent again: %+v", got)
	}
	in.stop()
	done(t, nil, "muniment", "verify", in.data, "--key", in.key, "--quiet")
}

// A disk that is full under the log's write-ahead log all the same, because
// another program took the last bytes, ends the process: what of a commit is on
// the disk then nobody knows before it is read again. It says so, the next
// start says that there is no room, and with room everything is there.
func TestDiskFullUnderCommit(t *testing.T) {
	postgres.SkipIfChosen(t)
	data := t.TempDir()
	var full atomic.Bool
	writes := map[string]bool{"write": true, "pwrite64": true, "writev": true, "pwritev": true, "fallocate": true, "mkdir": true, "mkdirat": true}
	decide := func(c sysfault.Call) sysfault.Answer {
		if full.Load() && writes[c.Name] && strings.HasPrefix(c.Path, data) {
			return sysfault.Answer{Fail: syscall.ENOSPC}
		}
		return sysfault.Answer{}
	}
	serving := func() *program {
		cmd := sysfault.Command("muniment", "serve", "--data", data, "--listen", "127.0.0.1:0")
		cmd.Env = clean(os.Environ())
		return startAs(t, cmd, func() error { supervise(t, cmd, decide); return nil })
	}
	in := &installation{data: data, program: serving()}
	in.url, in.key = in.await(`^Muniment serves (\S+)`), in.await(`^Log verifier key: (\S+)`)
	in.link = in.await(`^  (http\S+/setup/\S+)$`)
	in.owner = newPerson(t, "admin@localhost", ownerPassword)
	in.owner.useLink(in.link)
	in.config = []string{"XDG_CONFIG_HOME=" + t.TempDir(), "HOME=" + t.TempDir()}
	token, org := in.login(), in.organization()
	before, unknown := event.NewID().String(), event.NewID().String()
	_, was, err := create(http.DefaultClient, in.url, token, org, before)
	if err != nil {
		t.Fatal(err)
	}
	full.Store(true)
	if status, _, err := create(http.DefaultClient, in.url, token, org, unknown); err == nil {
		t.Errorf("a change on a full disk: %d", status)
	}
	if code, _ := in.wait(); code != 1 || !strings.Contains(in.errors(), "muniment: serve: the log store cannot go on; look at the disk, then start again: nothing that was acknowledged is lost") {
		t.Errorf("it ends with %d:\n%s", code, in.errors())
	}
	again := serving()
	if code, _ := again.wait(); code != 1 || !strings.Contains(again.errors(), "the disk is full; make room") {
		t.Errorf("a start on a full disk ends with %d:\n%s", code, again.errors())
	}
	full.Store(false)
	healed := in.again()
	becomes(t, healed.url, 200, "ready")
	if _, is, err := create(http.DefaultClient, healed.url, token, org, before); err != nil || !is.Change.Replayed || is.UserID != was.UserID {
		t.Errorf("acknowledged was %v; now it is %v %v", was, is, err)
	}
	if _, _, err := create(http.DefaultClient, healed.url, token, org, unknown); err != nil {
		t.Errorf("what was not acknowledged, repeated: %v", err)
	}
	healed.stop()
	done(t, nil, "muniment", "verify", data, "--key", in.key, "--quiet")
}
