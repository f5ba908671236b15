package postgres

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Quorum is a primary with standbys of which any one has to have a commit.
type Quorum struct {
	Primary  *Cluster
	Standbys []*Cluster
	names    map[*Cluster]string
	members  []*Cluster // in the order in which they were made
}

// NewQuorum starts a primary and n standbys.
func NewQuorum(t testing.TB, n int, o Options) *Quorum {
	t.Helper()
	q := &Quorum{Primary: Start(t, o), names: map[*Cluster]string{}}
	all := []string{"n0"}
	for i := range n {
		all = append(all, fmt.Sprintf("n%d", i+1))
	}
	q.names[q.Primary], q.members = "n0", []*Cluster{q.Primary}
	// Those made of this one have the setting, too, for when they are promoted.
	q.Primary.Set(t, "synchronous_standby_names", "'ANY 1 ("+strings.Join(all, ", ")+")'")
	q.Primary.Await(t, "", "SELECT current_setting('synchronous_standby_names') <> ''")
	for _, name := range all[1:] {
		s := q.Primary.Standby(t, name)
		q.names[s], q.members, q.Standbys = name, append(q.members, s), append(q.Standbys, s)
	}
	q.Primary.Await(t, "", "SELECT count(*) = $1 FROM pg_stat_replication WHERE sync_state = 'quorum'", n)
	return q
}

// DSN names all members; who connects takes the one that writes.
func (q *Quorum) DSN(database string) string {
	var hosts []string
	for _, c := range q.members {
		hosts = append(hosts, fmt.Sprintf("127.0.0.1:%d", c.Port))
	}
	u := url.URL{Scheme: "postgres", User: url.UserPassword(Superuser, Password), Host: strings.Join(hosts, ","), Path: "/" + database,
		RawQuery: "sslmode=disable&target_session_attrs=read-write"}
	return u.String()
}

// Lose kills the primary with all its processes.
func (q *Quorum) Lose() { q.Primary.Kill() }

// Promote makes the standby that has most of what the dead primary sent the
// primary, and returns the dead one. Nothing follows the new one yet.
func (q *Quorum) Promote(t testing.TB) (dead *Cluster) {
	t.Helper()
	best, most := -1, ""
	for i, s := range q.Standbys {
		// What it receives until it notices that the primary is gone counts.
		s.Await(t, "", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')")
		got := s.Value(t, "", "SELECT lpad((greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0')::text, 30, '0')")
		if best < 0 || got > most {
			best, most = i, got
		}
	}
	dead = q.Primary
	q.Primary = q.Standbys[best]
	q.Standbys = append(q.Standbys[:best:best], q.Standbys[best+1:]...)
	q.Primary.Promote(t)
	return dead
}

// Follow lets the standbys stream from the new primary. One that has received
// what the new one has not, though no commit rested on it, is made anew.
func (q *Quorum) Follow(t testing.TB) {
	t.Helper()
	for _, s := range q.Standbys {
		s.Follow(t, q.Primary, q.names[s])
		if !q.streams(s) {
			q.remake(t, s)
		}
	}
}

// Rejoin makes one that is dead a standby of the primary, of a new base backup.
func (q *Quorum) Rejoin(t testing.TB, dead *Cluster) {
	t.Helper()
	q.remake(t, dead)
	q.Standbys = append(q.Standbys, dead)
}

func (q *Quorum) remake(t testing.TB, c *Cluster) {
	t.Helper()
	c.Stop(Immediate)
	dir, err := tempDir("")
	if err == nil {
		defer os.RemoveAll(dir)
		err = q.Primary.backup(dir)
	}
	if err == nil {
		err = c.replace(dir)
	}
	if err == nil {
		err = c.follow(q.Primary, q.names[c])
	}
	if err != nil {
		t.Fatalf("make %s anew: %v", q.names[c], err)
	}
	c.Start(t)
	if !q.streams(c) {
		t.Fatalf("%s does not follow the new primary:\n%s", q.names[c], c.tail())
	}
}

// replace puts a base backup of another in the place of a cluster that does not
// run; its own settings stay.
func (c *Cluster) replace(dir string) error {
	conf, err := os.ReadFile(filepath.Join(c.Data(), "muniment.conf"))
	if err != nil {
		return err
	}
	if err := os.RemoveAll(c.Data()); err != nil {
		return err
	}
	if err := copyTree(dir, c.Data(), func(string) bool { return false }); err != nil {
		return err
	}
	return c.write("muniment.conf", string(conf), "include = 'muniment.conf'\n")
}

// streams reports whether a standby receives what the primary writes, after
// some time for it to begin.
func (q *Quorum) streams(s *Cluster) bool {
	const query = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming')"
	for end := time.Now().Add(startLimit / 4); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if v, err := q.Primary.value("", query, q.names[s]); err == nil && v == "true" {
			return true
		}
		if log := s.tail(); strings.Contains(log[max(0, len(log)-600):], "forked off") {
			return false
		}
	}
	return false
}
