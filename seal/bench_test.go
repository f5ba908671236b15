package seal

import (
	"path/filepath"
	"testing"

	"muniment.dev/event"
	"muniment.dev/seal/kms/file"
)

type described struct {
	User         event.ID             `event:"user,public,subject,tag=user"`
	Organization event.ID             `event:"organization,public,tag=org"`
	Email        event.Sealed[string] `event:"email,blind=email,fold"`
	GivenName    event.Sealed[string] `event:"given_name"`
	FamilyName   event.Sealed[string] `event:"family_name"`
	DisplayName  event.Sealed[string] `event:"display_name"`
}

func benchmarkSealer(b *testing.B) (*Sealer, assigned, event.ID) {
	dir := b.TempDir()
	root, err := file.Open(filepath.Join(dir, "root.key"))
	if err != nil {
		b.Fatal(err)
	}
	keys, err := OpenKeys(b.Context(), filepath.Join(dir, "keys.db"), root)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { keys.Close() })
	a := assigned{}
	s := &Sealer{Log: theLog, Instance: event.SubjectID{ID: event.NewID()}, Assigned: a, Keys: keys,
		Registry: event.NewRegistry([]event.Descriptor{event.Describe[described]("user.registered", 1, "")})}
	administrator := event.NewID()
	for _, id := range []event.ID{s.Instance.ID, administrator} {
		if a[event.SubjectID{ID: id}], _, err = keys.Draw(b.Context(), s.Log); err != nil {
			b.Fatal(err)
		}
	}
	return s, a, administrator
}

func (s *Sealer) registration(b *testing.B, by event.ID) *event.Draft {
	user := event.NewID()
	e := event.New{Stream: event.Stream{Kind: "user", ID: user}, Payload: described{User: user, Organization: by, Email: event.Seal("person-01234567@bench.example"),
		GivenName: event.Seal("Given01234567"), FamilyName: event.Seal("Family01234567"), DisplayName: event.Seal("Given01234567 Family01234567")}}
	d, err := s.Seal(b.Context(), event.Actor{Kind: "user", ID: by}, []event.New{e}, Context{
		Public:  map[string]any{"request": event.NewID(), "command": event.NewID(), "session": by, "source": "api", "method": "muniment.v1.UserService.CreateUser"},
		Subject: event.SubjectID{ID: by}, Sealed: map[string]string{"ip": "192.0.2.7", "agent": "muniment-bench/1.0 (linux)"}})
	if err != nil {
		b.Fatal(err)
	}
	return d[0]
}

// BenchmarkSeal seals what an administrator's registration of a person says:
// two blocks, six fields, a blind tag, a key from the pool.
func BenchmarkSeal(b *testing.B) {
	s, _, by := benchmarkSealer(b)
	b.ReportAllocs()
	for b.Loop() {
		s.registration(b, by)
	}
}

// BenchmarkDecode opens such records, as views do.
func BenchmarkDecode(b *testing.B) {
	s, _, by := benchmarkSealer(b)
	var records []*event.Record
	for range 1000 {
		d := s.registration(b, by)
		at := event.Place{Log: s.Log, Position: 1, Version: 1}
		records = append(records, d.Record(at, d.AppendLeaf(nil, at)))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := s.Decode(b.Context(), records[i%len(records)]); err != nil {
			b.Fatal(err)
		}
	}
}
