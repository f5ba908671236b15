package ops

import (
	"io"
	"net"
	"testing"
	"time"

	"muniment.dev/seal/erasure"
)

// speak says something to a socket and returns what comes back.
func speak(t *testing.T, socket, text string) string {
	t.Helper()
	c, err := net.Dial("unix", socket)
	must(t, err)
	defer c.Close()
	must(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	_, _ = io.WriteString(c, text)
	must(t, c.(*net.UnixConn).CloseWrite())
	b, _ := io.ReadAll(c)
	return string(b)
}

func erasureForget(a *Admin) erasure.Forget { return erasure.Forget{Name: "snapshots", Do: a.Withdraw} }
