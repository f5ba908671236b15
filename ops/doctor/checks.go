package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"muniment.dev/fault"
	"muniment.dev/ops"
)

// network looks at who can reach the server, and how.
func network(_ context.Context, p *Patient) []Finding {
	const about = "network"
	host, _, err := net.SplitHostPort(p.Listen)
	if err != nil {
		return found(Unknown, about, "Set listen to address:port.", "the address to listen on cannot be read")
	}
	u, err := url.Parse(p.ExternalURL)
	if err != nil || u.Host == "" {
		return found(Unknown, about, "Set external-url.", "the address for browsers cannot be read")
	}
	ip, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && ip.IsLoopback()
	switch {
	case p.TLS || local:
		return ok(about, "listens on %s, browsers reach it at %s", p.Listen, p.ExternalURL)
	case u.Scheme == "https":
		return found(Warning, about, "Let it listen on a loopback or private address that only the proxy reaches, or give it a certificate (tls-cert, tls-key).",
			"listens in clear on %s: whoever reaches that address goes past the proxy and its TLS", p.Listen)
	}
	return found(Problem, about, "Give it a certificate (tls-cert, tls-key), or let it listen on 127.0.0.1 behind a proxy that speaks TLS.",
		"listens without TLS on %s, which others can reach: passwords and tokens travel in clear", p.Listen)
}

// private looks at who may read what must be secret.
func private(_ context.Context, p *Patient) []Finding {
	secret := map[string]string{"root key": p.Layout.Root, "keys": p.Layout.Keys, "data": p.Layout.Dir}
	maps.Copy(secret, p.Private)
	var all []Finding
	for _, about := range slices.Sorted(maps.Keys(secret)) {
		path := secret[about]
		info, err := os.Stat(path)
		switch {
		case path == "" || strings.Contains(path, "://"):
		case os.IsNotExist(err):
			all = append(all, found(Warning, about, "It is made at the first start; if there was one, stop and find it.", "%s is not there", path)...)
		case err != nil:
			all = append(all, found(Unknown, about, "Run this as the user that runs the server.", "%s cannot be looked at: %v", path, unwrapped(err))...)
		case info.Mode().Perm()&0o077 != 0:
			all = append(all, found(Problem, about, fmt.Sprintf("chmod %s %s", ownerOnly(info), path), "%s is open to others (mode %04o)", path, info.Mode().Perm())...)
		default:
			all = append(all, ok(about, "%s, mode %04o", path, info.Mode().Perm())...)
		}
	}
	return all
}

func ownerOnly(info fs.FileInfo) string {
	if info.IsDir() {
		return "700"
	}
	return "600"
}

func unwrapped(err error) error {
	if e, ok := err.(*fs.PathError); ok {
		return e.Err
	}
	return err
}

// apart looks at whether what guards the log lies where the log does not.
func apart(_ context.Context, p *Patient) []Finding {
	var all []Finding
	for _, part := range []struct{ about, path, why, do string }{
		{"register", p.Layout.Register, "whoever takes the disk back to yesterday takes the register with it, and nobody notices that records are missing", "Set register to a file on another disk or machine, and move the file there while the server is stopped."},
		{"root key", p.Layout.Root, "whoever copies the disk has the keys of everything on it", "Set root-key to a file on another disk, and move the file there while the server is stopped."},
	} {
		if part.path == "" || strings.Contains(part.path, "://") {
			continue
		}
		same, err := sameDisk(part.path, p.Layout.Log)
		switch {
		case os.IsNotExist(err):
		case err != nil:
			all = append(all, found(Unknown, part.about, "", "whether it is on another disk than the log cannot be found out: %v", unwrapped(err))...)
		case same:
			all = append(all, found(Warning, part.about, part.do, "is on the disk of the log: %s", part.why)...)
		default:
			all = append(all, ok(part.about, "is on another disk than the log")...)
		}
	}
	return all
}

// The least room that is not worth a word, in bytes and as a part of the disk.
const (
	roomy     = 10 << 30
	tight     = 1 << 30
	roomyPart = 10 // percent
)

// disk looks at the room on the disks and what kind they are.
func disk(_ context.Context, p *Patient) []Finding {
	var all []Finding
	seen := map[string]bool{}
	for _, part := range []struct{ about, path string }{{"disk", p.Layout.Dir}, {"disk", filepath.Dir(p.Layout.Register)}} {
		if part.path == "" || strings.Contains(part.path, "://") {
			continue
		}
		s, err := space(part.path)
		if err != nil {
			if !os.IsNotExist(err) {
				all = append(all, found(Unknown, part.about, "", "how much room there is cannot be found out: %v", unwrapped(err))...)
			}
			continue
		}
		if seen[s.id] {
			continue
		}
		seen[s.id] = true
		all = append(all, room(part.path, s)...)
	}
	return all
}

func room(path string, s volume) []Finding {
	const about = "disk"
	percent := uint64(100)
	if s.total > 0 {
		percent = s.free * 100 / s.total
	}
	free := fmt.Sprintf("%.1f GB (%d %%) are free under %s", float64(s.free)/1e9, percent, path)
	var all []Finding
	switch {
	case s.free < tight:
		all = found(Problem, about, "Make room now: with less than 64 MiB the server refuses to write.", "only %s", free)
	case s.free < roomy && percent < roomyPart:
		all = found(Warning, about, "Make room, or move the data directory to a larger disk.", "%s", free)
	default:
		all = ok(about, "%s", free)
	}
	switch {
	case s.fleeting:
		all = append(all, found(Problem, about, "Put the data directory on a disk.", "%s is in memory (%s): it is gone when the machine stops", path, s.kind)...)
	case s.remote:
		all = append(all, found(Problem, about, "Use a local disk, or PostgreSQL: locks and syncs over the network do not keep what they promise.", "%s is on a network file system (%s)", path, s.kind)...)
	}
	return all
}

// leastFiles is how many files the process should be allowed to open: half of
// them are for connections.
const leastFiles = 4096

// files looks at how many files the process may open.
func files(context.Context, *Patient) []Finding {
	const about = "files"
	n, err := maxFiles()
	switch {
	case err != nil:
		return found(Unknown, about, "", "how many files may be open cannot be found out: %v", err)
	case n < leastFiles:
		return found(Warning, about, "Raise the limit of the service (LimitNOFILE=65536 with systemd).", "only %d files and connections may be open at once", n)
	}
	return ok(about, "%d files and connections may be open at once", n)
}

// skew is by how much a clock may differ before it matters: tokens and codes
// live for minutes.
const skew = 5 * time.Second

// clocks looks at whether somebody keeps the clock right.
func clocks(context.Context, *Patient) []Finding {
	const about = "clock"
	synced, err := clockSynced()
	switch {
	case err != nil:
		return found(Unknown, about, "Make sure that a time service (NTP) runs.", "whether the clock is kept right cannot be found out")
	case !synced:
		return found(Warning, about, "Run a time service: systemd-timesyncd, chrony or that of the host.", "the system does not say that its clock is kept right by a time service: the server refuses to write when it runs back by more than 5 s")
	}
	return ok(about, "is kept right by a time service")
}

// status looks at what the server, or its data directory without one, says of
// itself.
func status(ctx context.Context, p *Patient) []Finding {
	const about = "server"
	if _, err := os.Stat(p.Layout.Log); os.IsNotExist(err) {
		return found(Unknown, about, "muniment serve makes one.", "there is no instance in %s yet", p.Layout.Dir)
	}
	st, err := ops.StatusOf(ctx, p.Layout, p.Program)
	if err != nil {
		return found(Problem, about, "muniment status "+p.Layout.Dir, "does not say how it is: %s", fault.Public(err))
	}
	var all []Finding
	for _, problem := range st.Problems {
		all = append(all, found(Problem, about, "muniment status "+p.Layout.Dir, "%s", problem)...)
	}
	if ahead := st.Last.Sub(p.Now()); !st.Last.IsZero() && ahead > skew {
		all = append(all, found(Problem, "clock", "Set the clock right; nothing can be recorded before it has reached that time.", "the last record is %s ahead of the clock", ahead.Round(time.Second))...)
	}
	if st.Restored != nil {
		all = append(all, found(Warning, about, "Start the server, and look at muniment register show.", "the directory was restored from a backup and no server has opened it since")...)
	}
	for _, e := range st.Erasures {
		if late := p.Now().Sub(e.Since); late > time.Hour {
			all = append(all, found(Problem, "erasure", "Look at the server's log; an erasure takes seconds.", "that of %s has not been carried out for %s", e.Subject, late.Round(time.Minute))...)
		}
	}
	if len(all) == 0 {
		return ok(about, "%s", health(st))
	}
	return all
}

func health(st *ops.Status) string {
	state := "is not running"
	if st.Running {
		state = "runs since " + st.Started.Format(time.RFC3339)
	}
	return fmt.Sprintf("%s; %d records, the register agrees", state, st.Size)
}
