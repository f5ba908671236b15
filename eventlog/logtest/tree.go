package logtest

import (
	"golang.org/x/mod/sumdb/tlog"

	"muniment.dev/event"
	"muniment.dev/eventlog"
)

var treeTests = []test{
	{"the tree is that of the reference, at every size", trees},
}

// Each root from 0 to 600 records equals that of golang.org/x/mod/sumdb/tlog,
// also when the log is taken again at that size; tiles and heads too.
func trees(f *fixture) {
	f.open(eventlog.Options{})
	var reference hashes
	for n := event.Position(0); ; n++ {
		root, err := tlog.TreeHash(int64(n), reference)
		if err != nil {
			f.Fatal(err)
		}
		if m := f.log.Mark(); m.Size != n || m.Root != event.Hash(root) {
			f.Fatalf("size %d, root %s; want %d, %s", m.Size, m.Root, n, event.Hash(root))
		}
		if n == 600 {
			break
		}
		switch n {
		case 1, 2, 255, 256, 257, 511, 512, 513:
			f.reopen()
		default:
			if n%3 == 0 {
				f.open(eventlog.Options{})
			}
		}
		if m := f.log.Mark(); m.Size != n || m.Root != event.Hash(root) {
			f.Fatalf("taken again: size %d, root %s; want %d, %s", m.Size, m.Root, n, event.Hash(root))
		}
		f.append(Request(New(NewStream("user"), "user.noted")))
		r, err := f.log.Record(f.ctx, n+1)
		if err != nil {
			f.Fatal(err)
		}
		if err := reference.add(int64(n), r.Leaf); err != nil {
			f.Fatal(err)
		}
	}
	f.check()
}
