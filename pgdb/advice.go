package pgdb

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Advice is something that an operator should know of a place where something
// is kept apart from the log.
type Advice struct {
	Serious bool   // it breaks a promise; else it is worth a thought
	Is      string // what is so
	Do      string // what to do about it
}

// Setting is a setting of PostgreSQL that matters.
type Setting struct {
	Name string
	Good string // its value as it should be; several are separated by spaces
	Advice
}

// durable are the settings without which nothing is promised.
var durable = []Setting{
	{"fsync", "on", Advice{true, "fsync is off: after a power cut the database is damaged", "Set fsync = on."}},
	{"full_page_writes", "on", Advice{true, "full_page_writes is off: after a power cut pages are damaged", "Set full_page_writes = on."}},
}

// Advise looks at how the database is set up. It changes nothing.
func (db *DB) Advise(ctx context.Context, more ...Setting) ([]Advice, error) {
	var out []Advice
	for _, s := range append(durable[:len(durable):len(durable)], more...) {
		var value string
		if err := db.Pool.QueryRow(ctx, "SELECT current_setting($1)", s.Name).Scan(&value); err != nil {
			return nil, db.Fault("look at the settings of the "+db.what, err)
		}
		if !strings.Contains(" "+s.Good+" ", " "+value+" ") {
			out = append(out, s.Advice)
		}
	}
	c := db.Pool.Config().ConnConfig
	if !encrypted(c.TLSConfig) && !local(c.Host) {
		out = append(out, Advice{true, "the " + db.what + " is reached in clear, or its certificate is not checked: whoever is on the way can read and change what we say", "Add sslmode=verify-full to its address (and sslrootcert=FILE)."})
	}
	return out, nil
}

// encrypted reports whether the server proves who it is.
func encrypted(c *tls.Config) bool {
	return c != nil && (!c.InsecureSkipVerify || c.VerifyPeerCertificate != nil)
}

func local(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.HasPrefix(host, "/") || host == "localhost" || err == nil && net.IP(ip.AsSlice()).IsLoopback()
}

// May reports whether a statement that gives one boolean gives true.
func (db *DB) May(ctx context.Context, query string) (yes bool, err error) {
	err = db.Pool.QueryRow(ctx, query).Scan(&yes)
	if err == pgx.ErrNoRows {
		err = nil
	}
	return yes, db.Fault("look at the "+db.what, err)
}
