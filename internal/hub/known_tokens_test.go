package hub_test

import (
	"testing"
	"time"

	"github.com/hubward/hubward"
	"github.com/hubward/hubward/internal/hub"
	"github.com/hubward/hubward/internal/hub/access"
	"github.com/hubward/hubward/sas"
)

// serviceToken signs with the policy "service" of a hub. Other numbers make other tokens.
func (f *fixture) serviceToken(name string, n int) string {
	f.t.Helper()
	policies, err := f.Policies(name)
	if err != nil || policies[1].Name != "service" {
		f.t.Fatal(policies, err)
	}
	token, err := sas.Sign(name+".example", policies[1].PrimaryKey, "service", f.clock().Add(time.Hour+time.Duration(n)*time.Second))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// A token whose signature was found good is not looked at again, but good for no more than it was.
func TestAuthenticate_knownToken(t *testing.T) {
	changes := map[string]struct {
		change func(t *testing.T, f *fixture)
		code   hubward.Code
	}{
		"nothing": {func(*testing.T, *fixture) {}, 0},
		"other policy": {func(t *testing.T, f *fixture) {
			if _, err := f.RegeneratePolicyKey(t.Context(), "second", "device", true); err != nil {
				t.Error(err)
			}
		}, 0},
		"its key": {func(t *testing.T, f *fixture) {
			if _, err := f.RegeneratePolicyKey(t.Context(), "second", "service", true); err != nil {
				t.Error(err)
			}
		}, hubward.CodeUnauthorizedAccess},
		"its time": {func(_ *testing.T, f *fixture) { f.advance(time.Hour + time.Second) }, hubward.CodeUnauthorizedAccess},
		"no hub": {func(t *testing.T, f *fixture) {
			if err := f.DeleteHub(t.Context(), "second"); err != nil {
				t.Error(err)
			}
		}, hubward.CodeNoSuchHub},
		"another hub of its name": {func(t *testing.T, f *fixture) {
			if err := f.DeleteHub(t.Context(), "second"); err != nil {
				t.Error(err)
			}
			f.createHub("second", "second.example")
		}, hubward.CodeUnauthorizedAccess},
	}
	for name, tt := range changes {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.createHub("second", "second.example")
			shown := access.Credential{Hub: "second", Token: f.serviceToken("second", 0)}
			first, err := f.Authenticate(t.Context(), shown)
			if err != nil {
				t.Fatal(err)
			}
			second, err := f.Authenticate(t.Context(), shown)
			if err != nil || second.Hub != first.Hub || second.Policy != "service" || !second.Expires.Equal(first.Expires) ||
				!second.Allows(access.ServiceConnect, "twins") || second.Allows(access.RegistryRead, "devices") {
				t.Errorf("at first %+v, then %+v, %v", first, second, err)
			}
			_, err = f.Authenticate(t.Context(), access.Credential{Hub: "plant", Token: shown.Token})
			wantCode(t, "at another hub", err, hubward.CodeUnauthorizedAccess)
			_, err = f.Authenticate(t.Context(), access.Credential{Hub: "second", Token: shown.Token + "0"})
			wantCode(t, "another token", err, hubward.CodeUnauthorizedAccess)
			tt.change(t, f)
			_, err = f.Authenticate(t.Context(), shown)
			if code := hubward.CodeOf(err); tt.code == 0 && err != nil || tt.code != 0 && code != tt.code {
				t.Errorf("afterwards: %v, want %v", err, tt.code)
			}
		})
	}
}

// What is remembered has a bound, and tokens that are refused, or an identity's, are none of it.
func TestAuthenticate_knownTokensAreBounded(t *testing.T) {
	f := newFixture(t)
	show := func(token string) error {
		_, err := f.Authenticate(t.Context(), access.Credential{Hub: "plant", Token: token})
		return err
	}
	if err := show(f.token(f.createDevice("d1"))); err != nil {
		t.Error(err)
	}
	wantCode(t, "a wrong signature", show(f.serviceToken("plant", 0)+"1"), hubward.CodeUnauthorizedAccess)
	before := hub.KnownTokens(f.Hub)
	for n := range hub.MaxKnownTokens + 1 {
		if err := show(f.serviceToken("plant", n)); err != nil {
			t.Fatal(n, err)
		}
		if got, want := hub.KnownTokens(f.Hub), before+n+1; n < hub.MaxKnownTokens-before && got != want {
			t.Fatalf("after %d: %d, want %d", n, got, want)
		}
	}
	if got := hub.KnownTokens(f.Hub); before != 0 || got != 1 {
		t.Errorf("%d before, %d in the end", before, got)
	}
}
