package server

import (
	"context"

	"muniment.dev/eventlog/pglog"
	"muniment.dev/fault"
	"muniment.dev/ledger"
	"muniment.dev/ops/doctor"
	"muniment.dev/pgdb"
	"muniment.dev/seal"
)

// Doctor looks at the settings, and at the files and the machine that they
// name, for what bites later.
func (c *Config) Doctor(ctx context.Context) ([]doctor.Finding, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	private := map[string]string{}
	for about, path := range map[string]string{"tls key": c.TLSKey, "metrics token": c.MetricsToken} {
		if path != "" {
			private[about] = path
		}
	}
	var more []doctor.Check
	if c.Database != "" {
		more = append(more, advised("database", func(ctx context.Context) ([]pgdb.Advice, error) { return pglog.Advise(ctx, c.storeOptions()) }))
	}
	if isURL(c.Keys) {
		more = append(more, advised("keys", func(ctx context.Context) ([]pgdb.Advice, error) { return seal.Advise(ctx, c.Keys) }))
	}
	if isURL(c.Register) {
		more = append(more, advised("register", func(ctx context.Context) ([]pgdb.Advice, error) {
			return ledger.AdviseRegister(ctx, c.Register, c.Database)
		}))
	}
	return doctor.Look(ctx, doctor.Patient{Layout: layout(*c), Program: Program(), Listen: c.Listen, ExternalURL: c.ExternalURL,
		TLS: c.TLSCert != "", Private: private, More: more}), nil
}

// advised is a check of a part that knows itself what an operator should know.
func advised(about string, ask func(context.Context) ([]pgdb.Advice, error)) doctor.Check {
	return func(ctx context.Context, _ *doctor.Patient) []doctor.Finding {
		advice, err := ask(ctx)
		if err != nil {
			return []doctor.Finding{{Level: doctor.Problem, About: about, Says: fault.Public(err), Do: "Look whether its server runs, and whether this machine reaches it."}}
		}
		var all []doctor.Finding
		for _, a := range advice {
			level := doctor.Warning
			if a.Serious {
				level = doctor.Problem
			}
			all = append(all, doctor.Finding{Level: level, About: about, Says: a.Is, Do: a.Do})
		}
		if len(all) == 0 {
			all = append(all, doctor.Finding{Level: doctor.OK, About: about, Says: "answers, and is set up as it should be"})
		}
		return all
	}
}
