package hookapi_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/instancetest"
)

// How long after a change was acknowledged its event is with a subscriber: at a
// webhook, and with whoever waits for it. Goal: p99 within 20 ms.
func BenchmarkFollow(b *testing.B) {
	b.Run("webhook", func(b *testing.B) {
		i := instancetest.New(b)
		came := make(chan time.Time, 16)
		srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { came <- time.Now() }))
		defer srv.Close()
		webhook(i, i.AsOwner(), instancetest.In(""), srv.URL, "organization.renamed")
		follow(b, i, func() time.Time { return <-came })
	})
	b.Run("fetch", func(b *testing.B) {
		i := instancetest.New(b)
		id := pulled(i, 0, "organization.renamed")
		came := make(chan time.Time, 16)
		go func() {
			req := &munimentv1.FetchEventsRequest{SubscriptionId: id, WaitSeconds: 20}
			for {
				got, err := i.API.Subscription.FetchEvents(i.AsOwner(), req)
				if err != nil {
					return // the instance has ended
				}
				req.Acknowledge = positions(got)
				for range got.GetDeliveries() {
					came <- time.Now()
				}
			}
		}()
		follow(b, i, func() time.Time { return <-came })
	})
}

// follow changes something again and again, and measures when each change has
// come. A change every few milliseconds is a light load: what is measured is the
// way, not a queue.
func follow(b *testing.B, i *instancetest.Instance, arrived func() time.Time) {
	var took []time.Duration
	for b.Loop() {
		instancetest.Must(i.API.Organization.RenameOrganization(i.AsOwner(), &munimentv1.RenameOrganizationRequest{OrganizationId: i.Org, Name: i.Name("Org")}))
		acknowledged := time.Now()
		took = append(took, arrived().Sub(acknowledged))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "ms/p50")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
}
