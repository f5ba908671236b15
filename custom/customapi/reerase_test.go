package customapi_test

import (
	"testing"

	munimentv1 "muniment.dev/api/gen/muniment/v1"
	"muniment.dev/internal/instancetest"
)

// An entity whose value was claimed after the fact can be erased like any other.
func TestEraseAfterClaim(t *testing.T) {
	s := newShops(t, shops("", "", ""))
	h := uuid()
	s.publish(t, anEvent("shop-opened", h, `{"code":"A"}`))
	if err := s.apply(shops("instance", "", "")); err != nil {
		t.Fatal(err)
	}
	s.indexed(t, "code")
	instancetest.Must(s.API.Entity.EraseEntity(s.ctx, &munimentv1.EraseEntityRequest{Type: "shop", EntityId: h}))
	if err := s.tried(anEvent("shop-opened", uuid(), `{"code":"A"}`)); err != nil {
		t.Errorf("the value is not free again: %v", err)
	}
}
