package pgdb

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"muniment.dev/fault"
)

// Cause is what PostgreSQL, or the way to it, may suffer from. What it says
// names what to do, and nothing of an address stands in it.
type Cause struct {
	Kind fault.Kind
	Text string // {} stands for what the database is to us
}

// The causes.
var (
	Away       = &Cause{fault.Unavailable, "{} does not answer; check that it runs and that host and port of its address are right"}
	NoTLS      = &Cause{fault.Unavailable, "no TLS connection to {} can be made; check sslmode and sslrootcert of its address, and the server's certificate"}
	Restarting = &Cause{fault.Unavailable, "{} is starting or stopping; wait, it will be tried again"}
	ReadOnly   = &Cause{fault.Unavailable, "{} lets us read only: it is a read-only standby, or default_transaction_read_only is on for the database or the role; name the primary in its address, or switch that off"}
	Full       = &Cause{fault.Unavailable, "the disk of {} is full; make room on it, nothing was lost"}
	NoMemory   = &Cause{fault.Unavailable, "{} is out of memory; give it more, or lower max_connections or work_mem"}
	Crowded    = &Cause{fault.Unavailable, "{} has no connection left; raise max_connections, or use fewer connections elsewhere"}
	NotLetIn   = &Cause{fault.Unavailable, "{} refuses the user or the password of its address; check both, and pg_hba.conf"}
	NoDatabase = &Cause{fault.Unavailable, "the database in the address of {} does not exist; create it, empty, or name another"}
	Privilege  = &Cause{fault.Unavailable, "the role in the address of {} lacks a privilege on Muniment's tables; have their owner run the migration with the roles that use them named, see docs/how-to/postgresql.md"}
	NoTables   = &Cause{fault.Unavailable, "Muniment's tables are not in this database; check the database and the schema in the address of {}, or migrate it"}
	Busy       = &Cause{fault.Unavailable, "something else, such as a dump, holds a lock on Muniment's tables in {}; end it, or wait"}
	NotNow     = &Cause{fault.Unavailable, "{} cannot do this now; try again in a moment"}
	Disk       = &Cause{fault.Unavailable, "{} cannot read or write a file of its own; look at its log, and at its disk"}
	Damaged    = &Cause{fault.Corrupt, "{} reports damaged data; restore it from a standby or a backup, and do not delete anything"}
	Refused    = &Cause{fault.Internal, "{} refused a statement of ours; look at its log"}
)

// causes maps SQLSTATEs, or their classes (Appendix A of PostgreSQL's manual).
// The whole one counts, if it is here.
var causes = map[string]*Cause{
	"08": Away, "25": NotNow, "28": NotLetIn, "3D": NoDatabase, "40": NotNow, "53": Crowded, "55": NotNow, "57": Restarting, "58": Disk,
	"25006": ReadOnly, "3F000": NoTables, "40P01": Busy, "42501": Privilege, "42P01": NoTables,
	"53100": Full, "53200": NoMemory, "55P03": Busy, "57014": Busy, "XX001": Damaged, "XX002": Damaged,
}

// CauseOf tells what an error of pgx is about.
func CauseOf(err error) *Cause {
	var pe *pgconn.PgError
	if errors.As(err, &pe) {
		for _, code := range []string{pe.Code, pe.Code[:min(2, len(pe.Code))]} {
			if c := causes[code]; c != nil {
				return c
			}
		}
		return Refused
	}
	if errors.Is(err, pgconn.ErrReadOnlyConnection) {
		return ReadOnly
	}
	if text := err.Error(); strings.Contains(text, "tls") || strings.Contains(text, "x509") || strings.Contains(text, "TLS") {
		return NoTLS
	}
	return Away
}

// Says is what there is to say about a database that is something to us:
// "PostgreSQL", "the key database".
func (c *Cause) Says(what string) string { return strings.ReplaceAll(c.Text, "{}", what) }

// Because is a fault with that to say.
func (c *Cause) Because(what, op string, err error) *fault.Error {
	return &fault.Error{Kind: c.Kind, Op: op, Msg: c.Says(what), Err: err}
}

// IsCode reports whether PostgreSQL answered with an SQLSTATE.
func IsCode(err error, code string) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && pe.Code == code
}
