package ops

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// longSocket is the length from which on a path does not fit into the address
// of a Unix socket on every system.
const longSocket = 100

// withSocket calls f with a path of the socket that fits into an address. A
// longer one is named by way of its open folder, where the system has /proc:
// data directories may lie deep.
func withSocket(path string, f func(short string) error) error {
	if len(path) <= longSocket {
		return f(path)
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	short := fmt.Sprintf("/proc/self/fd/%d", dir.Fd())
	if !exists(short) {
		return f(path)
	}
	return f(filepath.Join(short, filepath.Base(path)))
}

// listenSocket listens on a path. Closing the listener leaves the file there.
func listenSocket(path string) (ln net.Listener, err error) {
	err = withSocket(path, func(short string) error {
		ln, err = net.Listen("unix", short)
		if l, ok := ln.(*net.UnixListener); ok {
			l.SetUnlinkOnClose(false) // the short path means nothing by then
		}
		return err
	})
	return ln, err
}

func dialSocket(ctx context.Context, path string) (c net.Conn, err error) {
	err = withSocket(path, func(short string) error {
		c, err = (&net.Dialer{}).DialContext(ctx, "unix", short)
		return err
	})
	return c, err
}
