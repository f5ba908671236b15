package verify

import "context"

// people is an Opener over a list of persons.
type people struct {
	list   []person
	erased map[ID]bool
}

func (p *people) Key(_ context.Context, _, subject, key ID) ([]byte, KeyState, error) {
	for _, x := range p.list {
		if x.Subject == subject && x.Key == key {
			if p.erased[subject] {
				return nil, KeyErased, nil
			}
			return x.Secret, KeyActive, nil
		}
	}
	return nil, KeyNever, nil
}

// sampleLog is a small log with everything in it: 12 records, three people, one
// erased at record 9.
func sampleLog() (*builder, []person) {
	b := newBuilder("sample")
	ada, bob, visitor := newPerson("ada"), newPerson("bob"), newPerson("visitor")
	seal := func(p person, fields map[string]any, tags ...BlindTag) sealed { return sealed{p, fields, tags} }
	b.add(event{Stream: stream("org", "acme"), Type: "org.created", Public: rawJSON(`{"name":"Acme","rate":12.5,"seats":25}`),
		Context: rawJSON(`{"source":"api"}`), Tags: []string{"org:" + named("acme").String()}})
	b.add(event{Stream: stream("user", "ada"), Type: "user.registered", Tags: []string{"user:" + named("ada").String(), "org:" + named("acme").String()},
		Seal: []sealed{seal(ada, map[string]any{"/email": "ada@example.org", "/name": "Ada"}, blindTag(ada, "email", 0, "ada@example.org")),
			seal(visitor, map[string]any{"#context/address": "192.0.2.7"})}})
	b.add(event{Stream: stream("user", "bob"), Type: "user.registered",
		Seal: []sealed{seal(bob, map[string]any{"/email": "bob@example.org"}, blindTag(bob, "email", 0, "bob@example.org"))}})
	b.checkpoint()
	b.add(event{Stream: stream("user", "ada"), Type: "user.email.changed",
		Seal: []sealed{seal(ada, map[string]any{"/email": "countess@example.org"}, blindTag(ada, "email", 0, "countess@example.org"))}})
	b.add(event{Stream: stream("session", "s1"), Type: "session.begun", Public: rawJSON(`{"amr":["pwd"],"score":-1e-7}`),
		Seal: []sealed{seal(ada, nil, blindTag(ada, "device", 0, "d1"), blindTag(ada, "device", 1, "d2"))}})
	b.checkpoint()
	b.add(event{Stream: stream("user", "bob"), Type: "user.locked", Public: rawJSON(`{"reason":"request","final":false}`)})
	b.add(event{Stream: stream("session", "s1"), Type: "session.ended"})
	b.add(event{Stream: stream("org", "acme"), Type: "org.renamed", Public: rawJSON(`{"name":"Apex"}`)})
	b.checkpoint()
	b.erase(ada)
	b.add(event{Stream: stream("user", "bob"), Type: "user.unlocked"})
	b.checkpoint()
	b.add(event{Stream: stream("session", "s2"), Type: "session.begun",
		Seal: []sealed{seal(bob, map[string]any{"/agent": "curl"}), seal(visitor, map[string]any{"#context/address": "192.0.2.8"})}})
	b.add(event{Stream: stream("org", "acme"), Type: "org.renamed", Public: rawJSON(`{"name":"Acme"}`)})
	b.checkpoint()
	return b, []person{ada, bob, visitor}
}
