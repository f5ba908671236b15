package server

import (
	"io"
	"net"
	"testing"
	"time"
)

// One address holds its share of the connections and no more, so that others
// find room; when there is none at all, those who come wait, and nobody is
// forgotten.
func TestCrowd(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := newCrowd(l, 3, 2)
	inside := make(chan net.Conn, 10)
	ended := make(chan error, 1)
	go func() {
		for {
			conn, err := c.Accept()
			if err != nil {
				ended <- err
				return
			}
			inside <- conn
		}
	}()
	dial := func(from string) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
		conn, err := d.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Skipf("this machine has no second loopback address: %v", err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
	served := func() net.Conn {
		t.Helper()
		select {
		case conn := <-inside:
			return conn
		case <-time.After(5 * time.Second):
			t.Fatal("nobody is let in")
			return nil
		}
	}
	dial("127.0.0.1")
	first := served()
	dial("127.0.0.1")
	served()
	third := dial("127.0.0.1")
	third.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := third.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the third of one address: %v", err)
	}
	dial("127.0.0.2")
	served()
	dial("127.0.0.3")
	select {
	case <-inside:
		t.Error("more are let in than there are places")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close()
	served()
	c.Close()
	if err := <-ended; err == nil {
		t.Error("a closed listener accepts")
	}
	if len(c.held) != 3 || len(c.free) != 3 {
		t.Errorf("%v held, %d taken", c.held, len(c.free))
	}
}
