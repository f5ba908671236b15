package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"muniment.dev/event"
)

// created is the answer to the request that creates a user.
type created struct {
	UserID string `json:"userId"`
	Change struct {
		Position string `json:"position"`
		Replayed bool   `json:"replayed"`
	} `json:"change"`
}

// create asks for a user over REST. It answers the status, 0 if there was no
// whole answer.
func create(c *http.Client, server, token, org, command string) (status int, out created, err error) {
	body := fmt.Sprintf(`{"commandId":%q,"organizationId":%q,"email":"u%s@example.org","givenName":"Ada"}`, command, org, command)
	req, err := http.NewRequest("POST", server+"/v1/users", bytes.NewReader([]byte(body)))
	if err != nil {
		return 0, out, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return 0, out, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, out, err
	}
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, out, errors.New(string(b))
	}
	return res.StatusCode, out, json.Unmarshal(b, &out)
}

// SIGTERM under load, with somebody watching events and somebody on the live
// page of the console: the process ends by itself within seconds, with exit
// code 0, and everything that it had acknowledged is there when it is back.
func TestStopUnderLoad(t *testing.T) {
	in := install(t)
	token, org := in.login(), in.organization()
	watching := in.watch(token)
	in.owner.open(in.url + "/console/events")
	live, err := http.NewRequest("GET", in.url+"/console/events/live?after=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := in.owner.client.Do(live)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("the live page: %v %v", res, err)
	}
	defer res.Body.Close()

	var mu sync.Mutex
	acknowledged := map[string]created{}
	unsure := map[string]bool{}
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			c := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
			defer c.CloseIdleConnections()
			for {
				id := event.NewID().String()
				status, out, err := create(c, in.url, token, org, id)
				mu.Lock()
				if status == http.StatusOK && err == nil {
					acknowledged[id] = out
				} else {
					unsure[id] = true
				}
				mu.Unlock()
				if err != nil {
					if status != 0 && status != http.StatusServiceUnavailable {
						t.Errorf("while the server stops it answers %d %v", status, err)
					}
					return
				}
			}
		})
	}
	time.Sleep(time.Second)
	in.signal(syscall.SIGTERM)
	if code, took := in.wait(); code != 0 || took > 5*time.Second {
		t.Errorf("after SIGTERM: exit code %d after %v\n%s", code, took, in.errors())
	}
	wg.Wait()
	if err := <-watching; err == nil {
		t.Error("who watches is not told that the server stops")
	}
	if len(acknowledged) < 16 {
		t.Fatalf("only %d users were created before the server stopped", len(acknowledged))
	}

	again := in.again()
	for id, was := range acknowledged {
		_, is, err := create(http.DefaultClient, again.url, token, org, id)
		if err != nil || !is.Change.Replayed || is.UserID != was.UserID || is.Change.Position != was.Change.Position {
			t.Fatalf("acknowledged was %v; now it is %v %v", was, is, err)
		}
	}
	for id := range unsure {
		if _, _, err := create(http.DefaultClient, again.url, token, org, id); err != nil {
			t.Errorf("a command that was not acknowledged, repeated: %v", err)
		}
	}
	again.stop()
	t.Logf("%d acknowledged, %d unsure", len(acknowledged), len(unsure))
	done(t, in.stores, "muniment", "verify", in.data, "--key", in.key, "--quiet")
}

// Stopped while it starts, at any moment, the server ends without complaint and
// can be started again; so does the demo, and leaves nothing.
func TestStopWhileStarting(t *testing.T) {
	data, stores := t.TempDir()+"/data", stores(t)
	for i := range 12 {
		p := start(t, stores, "muniment", "serve", "--data", data, "--listen", "127.0.0.1:0")
		time.Sleep(time.Duration(30+10*i) * time.Millisecond)
		p.signal(syscall.SIGTERM)
		code, took := p.wait()
		byDefault := p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() // before it could say otherwise
		if code != 0 && !byDefault || took > 5*time.Second {
			t.Errorf("after %d ms: exit code %d after %v: %s", 30+10*i, code, took, p.errors())
		}
	}
	in := serve(t, stores, data)
	in.stop() // as soon as it has said its key
	done(t, stores, "muniment", "verify", data, "--key", in.key, "--quiet")

	tmp := t.TempDir()
	for i := range 8 {
		p := start(t, []string{"TMPDIR=" + tmp}, "muniment", "demo", "--listen", "127.0.0.1:0", "--sample", "127.0.0.1:0")
		time.Sleep(time.Duration(40+60*i) * time.Millisecond)
		p.signal(syscall.SIGINT)
		code, _ := p.wait()
		if code != 0 && !p.cmd.ProcessState.Sys().(syscall.WaitStatus).Signaled() {
			t.Errorf("the demo after %d ms: exit code %d: %s", 40+60*i, code, p.errors())
		}
	}
	if left, _ := os.ReadDir(tmp); len(left) > 0 {
		t.Errorf("the demo leaves %v", left)
	}
}
