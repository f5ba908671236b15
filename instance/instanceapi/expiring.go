package instanceapi

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"muniment.dev/api/adapter"
	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/app"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/user"
	"muniment.dev/view"
)

// ListExpiringCredentials answers the secrets and keys that end soon. The token
// is how many came before.
func (s *Service) ListExpiringCredentials(ctx context.Context, req *munimentv1.ListExpiringCredentialsRequest) (*munimentv1.ListExpiringCredentialsResponse, error) {
	days := cmp.Or(req.GetDays(), 30)
	if days < 1 || days > 365 {
		return nil, fault.Field("days", "must be 1 to 365, or 0 for 30")
	}
	size, err := adapter.PageSize(req.GetPageSize())
	if err != nil {
		return nil, err
	}
	r, err := s.core.Begin(ctx, req.GetRead())
	if err != nil {
		return nil, err
	}
	found, err := expiring(ctx, r, time.Duration(days)*24*time.Hour)
	if err != nil {
		return nil, err
	}
	skip := 0
	if t := req.GetPageToken(); t != "" {
		if skip, err = strconv.Atoi(t); err != nil || skip < 1 || skip > len(found) {
			return nil, fault.Field("page_token", "this token is of no page of this list; begin again without one")
		}
	}
	out := &munimentv1.ListExpiringCredentialsResponse{}
	if found = found[skip:]; len(found) > size {
		found, out.NextPageToken = found[:size], strconv.Itoa(skip+size)
	}
	out.Credentials = found
	return out, nil
}

// expiring are the credentials that end within a time and that the caller may
// see. There are few of them: applications have up to ten each.
func expiring(ctx context.Context, r *adapter.Reading, within time.Duration) (out []*munimentv1.ExpiringCredential, err error) {
	now, err := r.Now(ctx)
	if err != nil {
		return nil, err
	}
	between := view.Range("expires", event.Instant(now.UnixMicro()), event.Instant(now.Add(within).UnixMicro()))
	for _, of := range []struct {
		table, owner string
		fill         func(context.Context, *adapter.Reading, event.ID, *munimentv1.ExpiringCredential) (bool, error)
	}{{app.Credentials, "application", ofApplication}, {user.Credentials, "user", ofMachine}} {
		rows, err := r.All(ctx, view.Query{Table: of.table, Where: []view.Cond{between}, OrderBy: []string{"expires"}})
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			c := credentialOf(row)
			if ok, err := of.fill(ctx, r, row.ID(of.owner), c); err != nil {
				return nil, err
			} else if ok {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b *munimentv1.ExpiringCredential) int {
		return a.GetExpires().AsTime().Compare(b.GetExpires().AsTime())
	})
	return out, nil
}

func credentialOf(row view.Row) *munimentv1.ExpiringCredential {
	c := &munimentv1.ExpiringCredential{Id: row.ID("id").String(), Name: row.Text("name"), Kind: munimentv1.CredentialKind_CREDENTIAL_KIND_SECRET, Expires: adapter.Time(row.Time("expires"))}
	if kid := row.Text("kid"); kid != "" {
		c.Kind, c.Name = munimentv1.CredentialKind_CREDENTIAL_KIND_KEY, cmp.Or(c.Name, kid)
	}
	return c
}

// ofApplication says whose a credential is; false if the application is out of
// use, or not to be seen.
func ofApplication(ctx context.Context, r *adapter.Reading, id event.ID, c *munimentv1.ExpiringCredential) (bool, error) {
	row, ok, err := r.Get(ctx, app.Table, view.Values{"id": id})
	if err != nil || !ok || row.Bool("removed") || row.Bool("project_removed") || row.Bool("inactive") || !r.Sees(row.ID("organization"), event.ID{}) {
		return false, err
	}
	c.ApplicationId, c.OwnerName, c.OrganizationId = id.String(), row.Text("name"), row.ID("organization").String()
	return true, nil
}

// ofMachine says it of one of a machine user.
func ofMachine(ctx context.Context, r *adapter.Reading, id event.ID, c *munimentv1.ExpiringCredential) (bool, error) {
	row, ok, err := r.Get(ctx, user.Table, view.Values{"id": id})
	if err != nil || !ok || user.StatusOf(row) != user.Active || !r.Sees(row.ID("organization"), event.ID{}) {
		return false, err
	}
	c.UserId, c.OwnerName, c.OrganizationId = id.String(), row.Text("name"), row.ID("organization").String()
	return true, nil
}
