package policy

import (
	"muniment.dev/event"
	"muniment.dev/view"
	"muniment.dev/view/entity"
)

// Table is the table of the policies of a kind that are set, by organization;
// the zero one means the instance.
func (k Kind) Table() string { return string(k) + "_policies" }

// numbers and switches of each kind's table are named as in its event.
var (
	numbers = map[Kind][]string{
		OfPasswords: {"min_length", "history", "max_age_days"},
		OfLockout:   {"attempts", "window_seconds", "duration_seconds"},
		OfSessions:  {"lifetime_seconds", "idle_seconds", "password_seconds"},
		OfTokens:    {"access_seconds", "id_seconds", "refresh_idle_seconds", "refresh_lifetime_seconds"},
	}
	switches = []string{"needs_upper_case", "needs_lower_case", "needs_digit", "needs_symbol", "allows_personal"}
)

// View declares the tables of policies that are set.
func View() view.View {
	v := view.View{Name: "policies", Revision: 1, Types: entity.Types(Events()), Apply: apply}
	for _, k := range Kinds() {
		own := []view.Column{{Name: "organization", Kind: event.IDRef}}
		for _, n := range numbers[k] {
			own = append(own, view.Column{Name: n, Kind: event.Int})
		}
		if k == OfPasswords {
			for _, n := range switches {
				own = append(own, view.Column{Name: n, Kind: event.Bool})
			}
		}
		v.Tables = append(v.Tables, view.Table{Name: k.Table(), Key: []string{"organization"}, Columns: entity.Columns(own...), Indexes: [][]string{{entity.Order}}})
	}
	return v
}

func apply(f event.Fact) []view.Change {
	key := view.Values{"organization": f.Stream.ID}
	put := func(k Kind, set view.Values) []view.Change {
		return []view.Change{view.Put(k.Table(), key, entity.Created(f, set))}
	}
	remove := func(k Kind) []view.Change { return []view.Change{view.Remove(k.Table(), key)} }
	switch p := f.Payload.(type) {
	case PasswordChanged:
		return put(OfPasswords, view.Values{"min_length": p.MinLength, "history": p.History, "max_age_days": p.MaxAge, "needs_upper_case": p.Upper,
			"needs_lower_case": p.Lower, "needs_digit": p.Digit, "needs_symbol": p.Symbol, "allows_personal": p.Personal})
	case LockoutChanged:
		return put(OfLockout, view.Values{"attempts": p.Attempts, "window_seconds": p.Window, "duration_seconds": p.Duration})
	case SessionChanged:
		return put(OfSessions, view.Values{"lifetime_seconds": p.Lifetime, "idle_seconds": p.Idle, "password_seconds": p.Password})
	case TokenChanged:
		return put(OfTokens, view.Values{"access_seconds": p.Access, "id_seconds": p.ID, "refresh_idle_seconds": p.RefreshIdle, "refresh_lifetime_seconds": p.RefreshLifetime})
	case PasswordReset:
		return remove(OfPasswords)
	case LockoutReset:
		return remove(OfLockout)
	case SessionReset:
		return remove(OfSessions)
	case TokenReset:
		return remove(OfTokens)
	}
	return nil
}

func passwordOf(r view.Row) Password {
	return Password{MinLength: r.Int("min_length"), History: r.Int("history"), MaxAge: r.Int("max_age_days"), Upper: r.Bool("needs_upper_case"),
		Lower: r.Bool("needs_lower_case"), Digit: r.Bool("needs_digit"), Symbol: r.Bool("needs_symbol"), Personal: r.Bool("allows_personal")}
}

func lockoutOf(r view.Row) Lockout {
	return Lockout{r.Int("attempts"), r.Int("window_seconds"), r.Int("duration_seconds")}
}

func sessionOf(r view.Row) Session {
	return Session{r.Int("lifetime_seconds"), r.Int("idle_seconds"), r.Int("password_seconds")}
}

func tokenOf(r view.Row) Token {
	return Token{r.Int("access_seconds"), r.Int("id_seconds"), r.Int("refresh_idle_seconds"), r.Int("refresh_lifetime_seconds")}
}

// Rows finds a row of a table of this view, such as a reading of it at a
// position.
type Rows func(table string, key view.Values) (view.Row, bool, error)

// Read is the State of an organization, of the instance alone if it is zero, as
// its rows say it.
func Read(rows Rows, organization event.ID) (s State, err error) {
	if s.instance, err = read(rows, event.ID{}); err != nil || organization.IsZero() {
		return s, err
	}
	s.own, err = read(rows, organization)
	return s, err
}

func read(rows Rows, organization event.ID) (s set, err error) {
	key := view.Values{"organization": organization}
	err = firstOf(
		readInto(rows, OfPasswords, key, &s.password, passwordOf),
		readInto(rows, OfLockout, key, &s.lockout, lockoutOf),
		readInto(rows, OfSessions, key, &s.session, sessionOf),
		readInto(rows, OfTokens, key, &s.token, tokenOf),
	)
	return s, err
}

func readInto[V any](rows Rows, k Kind, key view.Values, to **V, of func(view.Row) V) error {
	row, ok, err := rows(k.Table(), key)
	if ok && err == nil {
		v := of(row)
		*to = &v
	}
	return err
}
