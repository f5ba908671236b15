package user_test

import (
	"strings"
	"testing"

	"muniment.dev/authz"
	"muniment.dev/credential"
	"muniment.dev/decide/decidetest"
	"muniment.dev/event"
	"muniment.dev/fault"
	"muniment.dev/org"
	"muniment.dev/user"
)

const jwk = `{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","kid":"1"}`

var (
	robot        = event.MustID("0b000000000000000000000000000004")
	first        = event.MustID("0f000000000000000000000000000001")
	digest       = [32]byte{1}
	robotCreated = event.New{Stream: user.Stream(robot), Payload: user.MachineCreated{User: robot, Organization: acme, Name: "Backup", Description: "every night"}}
	firstAdded   = event.New{Stream: user.Stream(robot), Payload: user.SecretAdded{User: robot, Organization: acme, Secret: first, Name: "prod", Digest: event.Seal(digest[:])}}
	asRobot      = event.Actor{Kind: "user", ID: robot}
	robotOwns    = event.New{Stream: event.Stream{Kind: "member", ID: robot}, Payload: authz.MemberAdded{Member: robot, User: robot, Role: "admin"}}
)

// A machine user belongs to an organization that is in use.
func TestCreatingMachine(t *testing.T) {
	c := user.CreateMachine{User: robot, Organization: acme, Name: "Backup", Description: "every night"}
	nameless, long := c, c
	nameless.Name, long.Description = "", strings.Repeat("x", 1001)
	type is = decidetest.Case[user.CreateMachine]
	decidetest.Run(t, registry, user.CreatingMachine,
		is{Name: "once", Given: []event.New{acmeAdded}, When: c, Then: []any{robotCreated.Payload}},
		is{Name: "again", Given: []event.New{acmeAdded, robotCreated}, When: c, Kind: fault.Exists},
		is{Name: "no organization", When: c, Err: org.ErrNotFound},
		is{Name: "inactive organization", Given: []event.New{acmeAdded, acmeInactive}, When: c, Err: org.ErrInactive},
		is{Name: "no name", Given: []event.New{acmeAdded}, When: nameless, Err: org.ErrName},
		is{Name: "too long a description", Given: []event.New{acmeAdded}, When: long, Kind: fault.Invalid},
		is{Name: "by the organization's administrator", As: asEve, Given: []event.New{acmeAdded, eveIsAdmin}, When: c, Then: []any{robotCreated.Payload}},
		is{Name: "by another's", As: asEve, Given: []event.New{acmeAdded, eveIsAdminElsewhere}, When: c, Kind: fault.Denied},
	)
	name, same := "Archive", "Backup"
	type change = decidetest.Case[user.ChangeMachine]
	decidetest.Run(t, registry, user.ChangingMachine,
		change{Name: "renamed", Given: []event.New{robotCreated}, When: user.ChangeMachine{User: robot, Name: &name},
			Then: []any{user.MachineChanged{User: robot, Organization: acme, Name: "Archive", Description: "every night"}}},
		change{Name: "the same", Given: []event.New{robotCreated}, When: user.ChangeMachine{User: robot, Name: &same}},
		change{Name: "a person", Given: []event.New{adaRegistered}, When: user.ChangeMachine{User: ada, Name: &name}, Err: user.ErrNoMachine},
		change{Name: "absent", When: user.ChangeMachine{User: robot, Name: &name}, Err: user.ErrNotFound},
	)
}

// What a machine user proves itself with is for those to change who have every
// right that it has, and never for itself: whoever knows the secret is it.
func TestMachineCredentials(t *testing.T) {
	c := user.AddSecret{User: robot, Secret: credential.NewSecret{ID: first, Name: "prod", Digest: digest}, Now: 5}
	past := c
	past.Secret.Expires = 5
	type adds = decidetest.Case[user.AddSecret]
	decidetest.Run(t, registry, user.AddingSecret,
		adds{Name: "once", Given: []event.New{robotCreated}, When: c, Then: []any{firstAdded.Payload}},
		adds{Name: "expired", Given: []event.New{robotCreated}, When: past, Err: credential.ErrExpires},
		adds{Name: "for a person", Given: []event.New{adaRegistered}, When: user.AddSecret{User: ada, Secret: c.Secret}, Err: user.ErrNoMachine},
		adds{Name: "absent", When: c, Err: user.ErrNotFound},
		adds{Name: "by its organization's admin", As: asEve, Given: []event.New{robotCreated, eveIsAdmin}, When: c, Then: []any{firstAdded.Payload}},
		adds{Name: "of one that administers the instance, by its organization's admin", As: asEve, Given: []event.New{robotCreated, eveIsAdmin, robotOwns}, When: c, Kind: fault.Denied},
		adds{Name: "by itself", As: asRobot, Given: []event.New{robotCreated, robotOwns}, When: c, Kind: fault.Denied},
		adds{Name: "by anybody", As: asEve, Given: []event.New{robotCreated}, When: c, Kind: fault.Denied},
	)
	type removes = decidetest.Case[user.RemoveSecret]
	end := user.RemoveSecret{User: robot, Secret: first}
	decidetest.Run(t, registry, user.RemovingSecret,
		removes{Name: "once", Given: []event.New{robotCreated, firstAdded}, When: end, Then: []any{user.SecretRemoved{User: robot, Organization: acme, Secret: first}}},
		removes{Name: "none", Given: []event.New{robotCreated}, When: end, Err: credential.ErrNoSecret},
	)
	k, err := credential.ParseKey(jwk)
	if err != nil {
		t.Fatal(err)
	}
	keyAdded := event.New{Stream: user.Stream(robot), Payload: user.KeyAdded{User: robot, Organization: acme, Key: first, KeyID: "1", Algorithm: "ES256", JWK: k.JWK}}
	type keys = decidetest.Case[user.AddKey]
	decidetest.Run(t, registry, user.AddingKey,
		keys{Name: "once", Given: []event.New{robotCreated}, When: user.AddKey{User: robot, Key: credential.NewKey{ID: first, PublicKey: jwk}}, Then: []any{keyAdded.Payload}},
		keys{Name: "no key", Given: []event.New{robotCreated}, When: user.AddKey{User: robot}, Kind: fault.Invalid},
	)
	type ends = decidetest.Case[user.RemoveKey]
	decidetest.Run(t, registry, user.RemovingKey,
		ends{Name: "once", Given: []event.New{robotCreated, keyAdded}, When: user.RemoveKey{User: robot, Key: first}, Then: []any{user.KeyRemoved{User: robot, Organization: acme, Key: first}}},
		ends{Name: "none", Given: []event.New{robotCreated}, When: user.RemoveKey{User: robot, Key: first}, Err: credential.ErrNoKey},
	)
}

// A machine user is locked and erased as people are, and has nothing of a
// person.
func TestMachineIsNoPerson(t *testing.T) {
	decidetest.Run(t, registry, user.Locking, decidetest.Case[user.Lock]{Name: "locked", Given: []event.New{robotCreated}, When: user.Lock{User: robot},
		Then: []any{user.Locked{User: robot, Organization: acme}}})
	decidetest.Run(t, registry, user.Erasing, decidetest.Case[user.Erase]{Name: "erased", Given: []event.New{robotCreated}, When: user.Erase{User: robot},
		Then: []any{user.Erased{User: robot, Organization: acme}, event.SubjectErased{Subject: event.SubjectID{ID: robot}}}})
	decidetest.Run(t, registry, user.SettingPassword, decidetest.Case[user.SetPassword]{Name: "a password", Given: []event.New{robotCreated}, When: user.SetPassword{User: robot}, Err: user.ErrMachine})
	decidetest.Run(t, registry, user.CreatingSetupLink, decidetest.Case[user.CreateSetupLink]{Name: "a link", Given: []event.New{robotCreated}, When: user.CreateSetupLink{User: robot, Expires: 9}, Err: user.ErrMachine})
	decidetest.Run(t, registry, user.ChangingEmail, decidetest.Case[user.ChangeEmail]{Name: "an address", Given: []event.New{robotCreated}, When: user.ChangeEmail{User: robot, Email: "a@example.org"}, Err: user.ErrMachine})
	given := "Robby"
	decidetest.Run(t, registry, user.ChangingProfile, decidetest.Case[user.ChangeProfile]{Name: "names", Given: []event.New{robotCreated}, When: user.ChangeProfile{User: robot, Given: &given}, Err: user.ErrMachine})
}
