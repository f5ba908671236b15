package view_test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"

	"muniment.dev/internal/postgres"
	"muniment.dev/view"
	"muniment.dev/view/viewtest"
)

// everywhere are the tests that hold on every backend. They run with files by
// themselves, and with PostgreSQL as parts of TestPostgres.
var everywhere = map[string]func(*testing.T){
	"StateIsTheFold": TestStateIsTheFold, "BatchesDoNotMatter": TestBatchesDoNotMatter, "History": TestHistory,
	"ValueStaysWithItsSubject": TestValueStaysWithItsSubject, "ReadYourWrites": TestReadYourWrites, "Behind": TestBehind,
	"ExactlyOnce": TestExactlyOnce, "Stop": TestStop, "Decode": TestDecode, "Unique": TestUnique, "UniqueExchange": TestUniqueExchange,
	"OtherLog": TestOtherLog, "ChainIsChecked": TestChainIsChecked, "DecodedTogether": TestDecodedTogether,
	"PagesAreTheList": TestPagesAreTheList, "PagingUnderInserts": TestPagingUnderInserts, "Conditions": TestConditions,
	"RefusedQueries": TestRefusedQueries, "Cursor": TestCursor, "CursorIsNotPersonal": TestCursorIsNotPersonal,
	"PagesUseIndexes": TestPagesUseIndexes, "TailUsesIndexes": TestTailUsesIndexes, "Kinds": TestKinds, "AccessorsPanic": TestAccessorsPanic,
	"Idle": TestIdle, "RebuildWhileServing": TestRebuildWhileServing, "Revision": TestRevision, "CheckFindsDifferences": TestCheckFindsDifferences,
	"Declarations": TestDeclarations, "Pace": TestPace, "ForgetLeavesNoByte": TestForgetLeavesNoByte, "ForgetWhenStopped": TestForgetWhenStopped,
	"ForgetAmidEverything": TestForgetAmidEverything, "DeleteIsHarmless": TestDeleteIsHarmless,
	"Stateful": TestStateful, "StatefulStops": TestStatefulStops, "StatefulWaits": TestStatefulWaits, "StatefulRemembers": TestStatefulRemembers,
	"ReplaceAmidEverything": TestReplaceAmidEverything, "ReplaceWhileServing": TestReplaceWhileServing, "ReplaceLeavesTheOld": TestReplaceLeavesTheOld,
	"ReplaceMends": TestReplaceMends, "ReplaceIsSuperseded": TestReplaceIsSuperseded,
}

// filesOnly are the tests that are about files, or about one backend.
var filesOnly = []string{"DamagedFile", "ReplaceFails", "InBubble", "Killed"}

// database is the one that TestPostgres gives its parts, or empty.
var database string

var places atomic.Int64

// stored is where views outlive their set.
func stored(t testing.TB) view.Backend {
	if database != "" {
		return view.Postgres{DSN: database, Schema: fmt.Sprintf("views_%d", places.Add(1))}
	}
	return view.File(filepath.Join(t.TempDir(), "views.db"))
}

// passing is where views need not outlive their set.
func passing(t testing.TB) view.Backend {
	if database != "" {
		return stored(t)
	}
	return view.File("")
}

func newLog(t testing.TB) *viewtest.Log {
	l := viewtest.New(t, events())
	l.Backend = func() view.Backend { return passing(t) }
	return l
}

// newDatabase makes a database on a server that does not wait for its disk:
// nothing here takes its power away.
func newDatabase(t testing.TB) string {
	c := postgres.Shared(t)
	c.Set(t, "fsync", "off")
	return c.NewDatabase(t)
}

// What holds of views in files holds of views in PostgreSQL.
func TestPostgres(t *testing.T) {
	database = newDatabase(t)
	defer func() { database = "" }()
	for _, name := range slices.Sorted(maps.Keys(everywhere)) {
		t.Run(name, everywhere[name])
	}
}

// remove drops a schema.
func remove(t testing.TB, in view.Postgres) {
	t.Helper()
	if _, err := postgres.Connect(t, in.DSN).Exec(ctx, "DROP SCHEMA "+in.Schema+" CASCADE"); err != nil {
		t.Fatal(err)
	}
}

// Each test runs on every backend or says why not.
func TestEverywhereIsComplete(t *testing.T) {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if slices.Contains([]string{"backend_test.go", "nodes_test.go", "nodesfold_test.go", "postgres_test.go"}, name) {
			continue
		}
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`(?m)^func Test(\w+)\(`).FindAllSubmatch(b, -1) {
			if test := string(m[1]); everywhere[test] == nil && !slices.Contains(filesOnly, test) {
				t.Errorf("%s: Test%s stands neither in everywhere nor in filesOnly", name, test)
			}
		}
	}
}
