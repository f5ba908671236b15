package server

import (
	"net"
	"net/netip"
	"sync"
)

// crowd is a listener that bounds how many connections are open at once: each
// is a file to the system, and the log's store must not run out of files
// because strangers hold them. When all are taken, those who come wait.
type crowd struct {
	net.Listener
	free  chan struct{} // one for each connection that is open
	gone  chan struct{} // closed with the listener
	close sync.Once
	each  int // how many one address may hold; 0: any number

	mu   sync.Mutex
	held map[netip.Addr]int
}

func newCrowd(l net.Listener, most, each int) *crowd {
	return &crowd{Listener: l, free: make(chan struct{}, most), gone: make(chan struct{}), each: each, held: map[netip.Addr]int{}}
}

// Accept implements net.Listener. Connections of an address that holds too many
// are closed at once.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		select {
		case c.free <- struct{}{}:
		case <-c.gone:
			return nil, net.ErrClosed
		}
		conn, err := c.Listener.Accept()
		if err != nil {
			<-c.free
			return nil, err
		}
		if g, ok := c.enter(conn); ok {
			return g, nil
		}
		conn.Close()
		<-c.free
	}
}

// Close implements net.Listener.
func (c *crowd) Close() error {
	c.close.Do(func() { close(c.gone) })
	return c.Listener.Close()
}

func (c *crowd) enter(conn net.Conn) (*guest, bool) {
	from, _ := netip.ParseAddrPort(conn.RemoteAddr().String())
	g := &guest{Conn: conn, crowd: c, from: from.Addr().Unmap()}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.each > 0 && c.held[g.from] >= c.each {
		return nil, false
	}
	c.held[g.from]++
	return g, true
}

func (c *crowd) leave(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[from]--; c.held[from] == 0 {
		delete(c.held, from)
	}
	<-c.free
}

// guest is a connection that counts until it is closed.
type guest struct {
	net.Conn
	crowd *crowd
	from  netip.Addr
	once  sync.Once
}

// Close implements net.Conn.
func (g *guest) Close() error {
	g.once.Do(func() { g.crowd.leave(g.from) })
	return g.Conn.Close()
}
