package server

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// Whoever asks for much and reads nothing is let go; a stream that is read goes
// on for longer than one write may take.
func TestPatience(t *testing.T) {
	const short = time.Second
	ended := make(chan error, 1)
	srv := httptest.NewServer(patient(short, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			for i := range 5 {
				fmt.Fprintln(w, i)
				w.(http.Flusher).Flush()
				time.Sleep(short / 4)
			}
			return
		}
		for {
			if _, err := w.Write(make([]byte, 1<<20)); err != nil {
				ended <- err
				return
			}
		}
	})))
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("a client that does not read keeps its handler")
	}
	res, err := http.Get(srv.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(res.Body); err != nil || b.String() != "0\n1\n2\n3\n4\n" {
		t.Errorf("the stream: %q %v", b.String(), err)
	}
}
