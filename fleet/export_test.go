package fleet

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/ops"
	"muniment.dev/server"
	"muniment.dev/session/signin"
	"muniment.dev/user/password"
)

type export1 = *connect.ServerStreamForClient[munimentv1.ExportHostedInstanceResponse]

// exported reads an export to its end.
func (w *world) exported(id string) []byte {
	w.t.Helper()
	stream := must[export1](w.t)(w.home.API.Hosted.ExportHostedInstance(w.as(), &munimentv1.ExportHostedInstanceRequest{InstanceId: id}))
	defer stream.Close()
	var b bytes.Buffer
	var last *munimentv1.ExportHostedInstanceResponse
	for stream.Receive() {
		last = stream.Msg()
		b.Write(last.GetChunk())
	}
	if stream.Err() != nil || !last.GetComplete() || last.GetBytesDone() == 0 || last.GetBytesDone() != last.GetBytesTotal() {
		w.t.Fatalf("%v, in the end %d of %d bytes", stream.Err(), last.GetBytesDone(), last.GetBytesTotal())
	}
	return b.Bytes()
}

// An export is a whole log that verifies with the instance's key; with the keys
// that were backed up on the machine it is an instance that can be served on
// its own. It is taken while the instance is served, or suspended.
func TestExport(t *testing.T) {
	w := newWorld(t)
	a := w.host("Acme")
	key := a.server.Core.Instance.CheckpointKey
	dir, folder := t.TempDir(), filepath.Join(w.data, folder, a.id)
	logFile, keysFile := filepath.Join(dir, "log.tar"), filepath.Join(dir, "keys.tar")
	served := w.exported(a.id)
	w.suspend(a.id)
	suspended := w.exported(a.id)
	for what, content := range map[string][]byte{"served": served, "suspended": suspended} {
		if err := os.WriteFile(logFile, content, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := ops.Restore(t.Context(), ops.RestoreOptions{From: logFile, To: filepath.Join(dir, what), VerifyOptions: ops.VerifyOptions{Key: key}})
		if err != nil || r.Manifest.Log != a.server.Core.Log.ID() {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := ops.Backup(t.Context(), ops.DefaultLayout(folder), ops.BackupOptions{To: filepath.Join(dir, "again.tar"), KeysTo: keysFile}); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(dir, "alone")
	must[*ops.Restored](t)(ops.Restore(t.Context(), ops.RestoreOptions{From: logFile, KeysFrom: keysFile, RootKey: filepath.Join(folder, "root.key"), To: alone}))
	register := must[[]byte](t)(os.ReadFile(w.register(a.id)))
	if err := os.WriteFile(filepath.Join(alone, "register.json"), register, 0o600); err != nil {
		t.Fatal(err)
	}
	s := must[*server.Server](t)(server.New(t.Context(), server.Config{Data: alone, Listen: "127.0.0.1:1", ExternalURL: "https://acme.example.com"},
		server.Extra{Passwords: password.Params{Memory: 64, Time: 1, Threads: 1}}))
	defer s.Close()
	if _, err := s.SignIn.SignIn(t.Context(), signin.Attempt{Email: email, Password: pass}); err != nil {
		t.Errorf("the owner signs in to the instance on its own: %v", err)
	}
	if n := w.count("instance.exported"); n != 2 {
		t.Errorf("%d exports are recorded", n)
	}
}

// count counts the home instance's records of a type.
func (w *world) count(typ string) (n int) {
	for _, err := range w.home.Core.Log.Read(w.t.Context(), event.Query{{Types: []string{typ}}}, 0) {
		if err != nil {
			w.t.Fatal(err)
		}
		n++
	}
	return n
}

// What is exported is for owners of the home instance, comes over REST as well,
// and leaves nothing behind when it is broken off.
func TestExportAnswers(t *testing.T) {
	w := newWorld(t)
	a := w.host("Acme")
	at := w.home.URL() + "/v1/hosted-instances/" + a.id + ":export"
	status, body := w.get(w.browser(), at, "Authorization", "Bearer "+w.token(w.home.URL()))
	if status != http.StatusOK || !strings.HasPrefix(body, "manifest.json") {
		t.Errorf("over REST: %d %.50q", status, body)
	}
	stream, err := w.home.API.Hosted.ExportHostedInstance(asUser(t, event.NewID()), &munimentv1.ExportHostedInstanceRequest{InstanceId: a.id})
	if err == nil && !stream.Receive() {
		err = stream.Err()
	}
	wants(t, "somebody else", err, fault.Denied)
	stream, err = w.home.API.Hosted.ExportHostedInstance(w.as(), &munimentv1.ExportHostedInstanceRequest{InstanceId: event.NewID().String()})
	if err == nil && !stream.Receive() {
		err = stream.Err()
	}
	wants(t, "one that there is not", err, fault.NotFound)

	ctx, cancel := context.WithCancel(w.as())
	broken := must[export1](t)(w.home.API.Hosted.ExportHostedInstance(ctx, &munimentv1.ExportHostedInstanceRequest{InstanceId: a.id}))
	if !broken.Receive() {
		t.Fatal(broken.Err())
	}
	cancel()
	broken.Close()
	left := func() int {
		all, _ := os.ReadDir(filepath.Join(w.data, folder, a.id, "snapshots"))
		return len(all)
	}
	for range 1000 {
		if left() == 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if n := left(); n > 0 {
		t.Errorf("%d snapshots are left", n)
	}
}
