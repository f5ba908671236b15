package console

import (
	munimentv1 "muniment.dev/api/gen/muniment/v1"
)

// expiringPage is the data of expiring.html.
type expiringPage struct {
	Rows  []expiringRow
	Next  string
	Paged bool
	Curl  same
}

// expiringRow is a secret or a key that ends soon.
type expiringRow struct {
	*munimentv1.ExpiringCredential
	Org  string
	Path string // of what it belongs to
}

// IsKey reports whether it is a key.
func (r expiringRow) IsKey() bool {
	return r.GetKind() == munimentv1.CredentialKind_CREDENTIAL_KIND_KEY
}

// expiring lists the secrets and keys that end within a month.
func (v *visit) expiring() error {
	token := v.r.URL.Query().Get("token")
	got, err := v.c.API.Instance.ListExpiringCredentials(v.ctx, &munimentv1.ListExpiringCredentialsRequest{PageSize: pageSize, PageToken: token, Read: v.read})
	if err != nil {
		return v.c.AsFault(err)
	}
	p := expiringPage{Next: got.GetNextPageToken(), Paged: token != "", Curl: v.same("instance list-expiring-credentials", "/v1/expiring-credentials")}
	for _, c := range got.GetCredentials() {
		row := expiringRow{c, v.orgName(c.GetOrganizationId()), path("console", "applications", c.GetApplicationId())}
		if c.GetUserId() != "" {
			row.Path = path("console", "people", c.GetUserId())
		}
		p.Rows = append(p.Rows, row)
	}
	if err := v.travels(); err != nil {
		return err
	}
	return v.show("expiring", "people", "Secrets and keys that end", p)
}

// ending is how many secrets and keys end within a month, for whoever could
// replace them; more says that there are more than that.
func (v *visit) ending() (n int, more bool, err error) {
	if !v.me.WritesAny() {
		return 0, false, nil
	}
	got, err := v.c.API.Instance.ListExpiringCredentials(v.ctx, &munimentv1.ListExpiringCredentialsRequest{PageSize: pageSize})
	if err = v.unlessDenied(err); err != nil {
		return 0, false, err
	}
	return len(got.GetCredentials()), got.GetNextPageToken() != "", nil
}
