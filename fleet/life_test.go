package fleet

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/event"
	"muniment.dev/fault"
)

func (w *world) get1(id string) *munimentv1.HostedInstance {
	w.t.Helper()
	return must[*munimentv1.GetHostedInstanceResponse](w.t)(w.home.API.Hosted.GetHostedInstance(w.as(), &munimentv1.GetHostedInstanceRequest{InstanceId: id})).GetInstance()
}

func (w *world) suspend(id string) {
	w.t.Helper()
	must[*munimentv1.SuspendHostedInstanceResponse](w.t)(w.home.API.Hosted.SuspendHostedInstance(w.as(), &munimentv1.SuspendHostedInstanceRequest{InstanceId: id}))
}

func (w *world) resume(id string) {
	w.t.Helper()
	must[*munimentv1.ResumeHostedInstanceResponse](w.t)(w.home.API.Hosted.ResumeHostedInstance(w.as(), &munimentv1.ResumeHostedInstanceRequest{InstanceId: id}))
}

func (w *world) delete(id, name string) error {
	w.t.Helper()
	_, err := w.home.API.Hosted.DeleteHostedInstance(w.as(), &munimentv1.DeleteHostedInstanceRequest{InstanceId: id, Name: name, CommandId: strings.Repeat("b", 32)})
	return err
}

// An instance is made, served, suspended, resumed, and deleted, across restarts;
// what is recorded of its end is how its log ended; its name is free again.
func TestLife(t *testing.T) {
	w := newWorld(t)
	a := w.host("Acme")
	if in := w.get1(a.id); in.GetState() != munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_ACTIVE || in.GetTrouble() != "" || in.GetExternalUrl() != a.url ||
		in.GetVerifierKey() != a.server.Core.Instance.CheckpointKey || in.GetLogId() != a.server.Core.Log.ID().String() || a.server.Core.Instance.Instance.String() != a.id {
		t.Errorf("%v", in)
	}
	w.restart()
	if status, body := w.get(w.browser(), a.url+"/login"); status != http.StatusOK || !strings.Contains(body, "Acme") {
		t.Errorf("after a restart: %d", status)
	}
	token := w.token(a.url)
	mark := w.inner(a.id).Core.Log.Mark()
	w.suspend(a.id)
	if w.seat(event.MustID(a.id)).isOpen() {
		t.Error("it is open although it is suspended")
	}
	for range 2 {
		status, body := w.get(w.browser(), a.url+"/v1/me", "Authorization", "Bearer "+token)
		if status != http.StatusServiceUnavailable || !strings.Contains(body, `"kind":"refused"`) || !strings.Contains(body, "suspended") {
			t.Errorf("suspended: %d %s", status, body)
		}
		status, body = w.get(w.browser(), a.url+"/", "Accept", "text/html")
		if status != http.StatusServiceUnavailable || !strings.Contains(body, "suspended") || strings.Contains(body, "Home") {
			t.Errorf("the page of a suspended one: %d %s", status, body)
		}
		w.restart()
	}
	wants(t, "delete by another name", w.delete(a.id, "acme"), fault.Invalid)
	w.resume(a.id)
	if status, _ := w.get(w.browser(), a.url+"/v1/me", "Authorization", "Bearer "+token); status != http.StatusOK {
		t.Errorf("resumed: %d", status)
	}
	wants(t, "delete one that is served", w.delete(a.id, "Acme"), fault.Refused)
	mark = w.inner(a.id).Core.Log.Mark()
	w.suspend(a.id)
	_, err := w.home.API.Hosted.DeleteHostedInstance(w.as(), &munimentv1.DeleteHostedInstanceRequest{InstanceId: a.id, Name: "Acme"})
	if err != nil {
		t.Fatal(err)
	}
	w.destroyed(a.id)
	in := w.get1(a.id)
	if in.GetFinalSize() != uint64(mark.Size) || string(in.GetFinalRootHash()) != string(mark.Root[:]) {
		t.Errorf("its log ended at %d, and is said to have ended at %d", mark.Size, in.GetFinalSize())
	}
	if status, _ := w.get(w.browser(), a.url+"/"); status != http.StatusOK { // no hosted instance is left: home is reached by every name
		t.Errorf("its name: %d", status)
	}
	if w.host("Acme").id == a.id {
		t.Error("the name leads to the old one")
	}
}

// destroyed waits until nothing of an instance is left.
func (w *world) destroyed(id string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	for {
		seen := w.home.Core.Log.Mark().Size
		if w.get1(id).GetState() == munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_DESTROYED {
			break
		}
		if err := w.home.Core.Log.Wait(ctx, seen); err != nil {
			w.t.Fatalf("%v: %v", err, w.get1(id))
		}
	}
	if left, err := os.ReadDir(filepath.Join(w.data, folder)); err == nil && len(left) > 0 {
		for _, l := range left {
			if l.Name() == id {
				w.t.Errorf("%s is left", l.Name())
			}
		}
	}
}

// A server that stops at any step of making an instance makes it afterwards, and
// the creator gets the owner's link once: by the same command, or by asking for
// another.
func TestCrashWhileMaking(t *testing.T) {
	for _, step := range []string{"make the stores", "record that they are made", "set the instance up"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			w.crashAt(step)
			_, err := w.home.API.Hosted.CreateHostedInstance(w.as(), w.request("Acme"))
			wants(t, "the call", err, fault.Unknown)
			w.crashAt("")
			w.restart()
			again := must[*munimentv1.CreateHostedInstanceResponse](t)(w.home.API.Hosted.CreateHostedInstance(w.as(), w.request("Acme")))
			if !again.GetChange().GetReplayed() || again.GetSetupLink().GetUrl() == "" {
				t.Errorf("the same call: %v", again)
			}
			third := must[*munimentv1.CreateHostedInstanceResponse](t)(w.home.API.Hosted.CreateHostedInstance(w.as(), w.request("Acme")))
			if third.GetInstanceId() != again.GetInstanceId() || third.GetSetupLink() != nil {
				t.Errorf("a third time: %v", third)
			}
			if in := w.get1(again.GetInstanceId()); in.GetState() != munimentv1.HostedInstanceState_HOSTED_INSTANCE_STATE_ACTIVE || in.GetTrouble() != "" {
				t.Errorf("%v", in)
			}
			second := must[*munimentv1.CreateOwnerLinkResponse](t)(w.home.API.Hosted.CreateOwnerLink(w.as(), &munimentv1.CreateOwnerLinkRequest{InstanceId: again.GetInstanceId()}))
			in := w.inner(again.GetInstanceId())
			if _, err := in.SignIn.Setup(t.Context(), secretOf(again.GetSetupLink())); err == nil {
				t.Error("the first link works beside the second")
			}
			w.choose(in, secretOf(second.GetSetupLink()), pass)
		})
	}
}

func secretOf(l *munimentv1.SetupLink) string {
	return l.GetUrl()[strings.LastIndexByte(l.GetUrl(), '/')+1:]
}

// Whoever lost the command, too, registers the owner with the next link.
func TestLinkAfterCrash(t *testing.T) {
	w := newWorld(t)
	w.crashAt("set the instance up")
	_, err := w.home.API.Hosted.CreateHostedInstance(w.as(), w.request("Acme"))
	wants(t, "the call", err, fault.Unknown)
	w.crashAt("")
	id := must[*munimentv1.ListHostedInstancesResponse](t)(w.home.API.Hosted.ListHostedInstances(w.as(), &munimentv1.ListHostedInstancesRequest{})).GetInstances()[0].GetId()
	_, err = w.home.API.Hosted.CreateOwnerLink(w.as(), &munimentv1.CreateOwnerLinkRequest{InstanceId: id})
	wants(t, "without an address", err, fault.Invalid)
	link := must[*munimentv1.CreateOwnerLinkResponse](t)(w.home.API.Hosted.CreateOwnerLink(w.as(), &munimentv1.CreateOwnerLinkRequest{InstanceId: id, OwnerEmail: email})).GetSetupLink()
	w.choose(w.inner(id), secretOf(link), pass)
}

// A server that stops at any step of destroying an instance goes on afterwards;
// whatever is left in between cannot be read.
func TestCrashWhileDestroying(t *testing.T) {
	for _, step := range []string{"destroy the root key", "destroy the keys", "delete the stores", "record that it is destroyed"} {
		t.Run(step, func(t *testing.T) {
			w := newWorld(t)
			a := w.host("Acme")
			w.suspend(a.id)
			w.crashAt(step)
			wants(t, "the call", w.delete(a.id, "Acme"), fault.Unknown)
			dir := filepath.Join(w.data, folder, a.id)
			if _, err := os.Stat(filepath.Join(dir, "root.key")); step != "destroy the root key" && !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the root key is there: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, "log")); step == "destroy the keys" && err != nil {
				t.Errorf("the stores went before the keys: %v", err)
			}
			if status, _ := w.get(w.browser(), a.url+"/"); status != http.StatusServiceUnavailable {
				t.Errorf("it is served: %d", status)
			}
			w.crashAt("")
			w.restart()
			w.destroyed(a.id)
			if err := w.delete(a.id, "Acme"); err != nil {
				t.Errorf("the same call: %v", err)
			}
		})
	}
}

// Stores that were made and are missing are not made again: an empty instance
// under the name of one that was lost would be worse than none. The others are
// served.
func TestMissingStores(t *testing.T) {
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(w.data, folder, a.id)
	if err := os.Rename(dir, dir+".gone"); err != nil {
		t.Fatal(err)
	}
	w.start()
	if status, body := w.get(w.browser(), a.url+"/v1/me"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"kind":"unavailable"`) {
		t.Errorf("%d %s", status, body)
	}
	if why := w.get1(a.id).GetTrouble(); !strings.Contains(why, "missing") {
		t.Errorf("the trouble is said to be %q", why)
	}
	if status, _ := w.get(w.browser(), b.url+"/login"); status != http.StatusOK {
		t.Errorf("the other: %d", status)
	}
	if _, err := os.Stat(filepath.Join(dir, "log")); err == nil {
		t.Error("they were made again")
	}
}

// Folders that were exchanged are noticed before anybody is let in.
func TestExchangedStores(t *testing.T) {
	w := newWorld(t)
	a, b := w.host("Acme"), w.host("Beta")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	at := func(id string) string { return filepath.Join(w.data, folder, id) }
	for _, move := range [][2]string{{at(a.id), at("x")}, {at(b.id), at(a.id)}, {at("x"), at(b.id)}} {
		if err := os.Rename(move[0], move[1]); err != nil {
			t.Fatal(err)
		}
	}
	w.start()
	for _, in := range []tenant{a, b} {
		if status, _ := w.get(w.browser(), in.url+"/v1/me"); status != http.StatusServiceUnavailable {
			t.Errorf("%d", status)
		}
		if why := w.get1(in.id).GetTrouble(); !strings.Contains(why, "exchanged") {
			t.Errorf("the trouble is said to be %q", why)
		}
	}
}

// Suspended while requests come and streams are open, an instance answers each
// request wholly or refuses it, loses nothing that it acknowledged, and is as it
// was after it is resumed.
func TestSuspendUnderLoad(t *testing.T) {
	w := newWorld(t)
	a := w.host("Acme")
	token := w.token(a.url)
	var made, refused atomic.Int64
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			c := &http.Client{Transport: w.transport()}
			for {
				select {
				case <-stop:
					return
				default:
				}
				req, _ := http.NewRequest(http.MethodPost, a.url+"/v1/organizations", strings.NewReader(`{"name":"Org"}`))
				req.Header.Set("Authorization", "Bearer "+token)
				req.Header.Set("Content-Type", "application/json")
				res, err := c.Do(req)
				if err != nil {
					t.Errorf("a request was broken off: %v", err)
					return
				}
				res.Body.Close()
				switch res.StatusCode {
				case http.StatusOK:
					made.Add(1)
				case http.StatusServiceUnavailable:
					refused.Add(1)
				default:
					t.Errorf("%s", res.Status)
				}
			}
		})
	}
	stream := must[interface{ Receive() bool }](t)(a.server.API.Event.WatchEvents(asUser(t, a.owner), &munimentv1.WatchEventsRequest{OnlyNew: true}))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for stream.Receive() {
		}
	}()
	for range 3 {
		w.suspend(a.id)
		w.resume(a.id)
		w.inner(a.id)
	}
	<-ended
	close(stop)
	wg.Wait()
	there := 0
	for r, err := range w.inner(a.id).Core.Log.Read(t.Context(), event.Query{{Types: []string{"organization.added"}}}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Actor.Kind == "user" {
			there++
		}
	}
	if int64(there) != made.Load() || made.Load() == 0 {
		t.Errorf("%d were acknowledged, %d are there; %d were refused", made.Load(), there, refused.Load())
	}
}

// Of eight who create an instance under one name at once, one does.
func TestCreateAtOnce(t *testing.T) {
	w := newWorld(t)
	var done, taken atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			req := w.request("Acme")
			req.CommandId = ""
			switch _, err := w.home.API.Hosted.CreateHostedInstance(w.as(), req); {
			case err == nil:
				done.Add(1)
			default:
				wants(t, "the others", err, fault.Exists)
				taken.Add(1)
			}
		})
	}
	wg.Wait()
	if done.Load() != 1 || taken.Load() != 7 {
		t.Errorf("%d made, %d refused", done.Load(), taken.Load())
	}
	if all := w.all(); len(all) != 1 {
		t.Errorf("%d instances", len(all))
	}
}
