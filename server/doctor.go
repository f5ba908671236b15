package server

import (
	"context"

	"muniment.dev/ops/doctor"
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
	return doctor.Look(ctx, doctor.Patient{Layout: layout(*c), Program: Program(), Listen: c.Listen, ExternalURL: c.ExternalURL,
		TLS: c.TLSCert != "", Private: private}), nil
}
