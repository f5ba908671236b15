package sim

import (
	"slices"

	"muniment.dev/event"
	"muniment.dev/instance"
)

// signingKey is one that tokens can be verified by.
type signingKey struct {
	name      string
	status    instance.KeyStatus
	announced event.Instant
	activated event.Instant
	until     event.Instant
}

// keyAlgorithm is that of all keys of the simulation.
const keyAlgorithm = "ES256"

// seconds of an instant.
const seconds = event.Instant(1e6)

// evolveKeys takes in a record of the instance's signing keys; ok is false for
// any other.
func (m *model) evolveKeys(f event.Fact) (err error, ok bool) {
	list := slices.Clone(m.keys.now())
	find := func(name string) *signingKey {
		i := slices.IndexFunc(list, func(k signingKey) bool { return k.name == name })
		if i < 0 {
			return &signingKey{}
		}
		return &list[i]
	}
	switch p := f.Payload.(type) {
	case instance.KeyScheduleChanged:
		m.schedule = instance.Schedule{Every: p.Every, Announce: p.Announce, Remain: p.Remain}
		return nil, true
	case instance.SigningKeyCreated:
		if find(p.Key).status != "" || slices.ContainsFunc(list, func(k signingKey) bool { return k.status == instance.Next }) {
			return wrong("the key is there, or another waits to sign"), true
		}
		list = append(list, signingKey{name: p.Key, status: instance.Next, announced: p.At})
	case instance.SigningKeyActivated:
		k := find(p.Key)
		if k.status != instance.Next {
			return wrong("the key is %q", k.status), true
		}
		if err := m.due(*k, p.At); err != nil {
			return err, true
		}
		k.status, k.activated = instance.Current, p.At
	case instance.SigningKeyRetired:
		next, there := successor(list, p.Key)
		if k := find(p.Key); k.status != instance.Current || !there || p.Until < next.activated+event.Instant(m.schedule.Remain)*seconds {
			return wrong("the key is %q, and nothing signs in its place, or it verifies for too short a time", k.status), true
		}
		*find(p.Key) = signingKey{name: p.Key, status: instance.Retired, until: p.Until}
	case instance.SigningKeyRemoved:
		k := find(p.Key)
		if next, there := successor(list, p.Key); k.status != instance.Retired && (k.status != instance.Current || !there || !m.atOnce[next.activated]) {
			return wrong("the key is %q", k.status), true
		}
		list = slices.DeleteFunc(list, func(k signingKey) bool { return k.name == p.Key })
	default:
		return nil, false
	}
	m.keys.set(f.Position, list)
	return nil, true
}

// successor is the key that signs instead of another.
func successor(list []signingKey, name string) (signingKey, bool) {
	i := slices.IndexFunc(list, func(k signingKey) bool { return k.status == instance.Current && k.name != name })
	if i < 0 {
		return signingKey{}, false
	}
	return list[i], true
}

// due holds a key that begins to sign against the schedule: nobody but an
// administrator has it sign before those who verify could know it.
func (m *model) due(next signingKey, now event.Instant) error {
	signs, there := successor(m.keys.now(), next.name)
	if !there || m.atOnce[now] {
		return nil
	}
	if now < signs.activated+event.Instant(m.schedule.Every)*seconds || now < next.announced+event.Instant(m.schedule.Announce)*seconds {
		return wrong("it is too early")
	}
	return nil
}

// oneSigns: since the first key signs, there is one that does, and no other.
func (m *model) oneSigns() error {
	n, waits := 0, 0
	for _, k := range m.keys.now() {
		switch k.status {
		case instance.Current:
			n++
		case instance.Next:
			waits++
		}
	}
	if n > 1 || n == 0 && len(m.keys.now()) > waits {
		return wrong("%d keys sign", n)
	}
	return nil
}

// published are the keys by which tokens can be verified, and which of them
// signs, as a text.
func published(keys []signingKey) (out []string) {
	for _, k := range keys {
		out = append(out, k.name+" "+string(k.status))
	}
	return out
}
