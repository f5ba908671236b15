package seal

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"muniment.dev/event"
)

// unhex reads hexadecimal digits in JSON.
type unhex []byte

func (h *unhex) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

type goldenLog struct {
	LogID    event.ID `json:"log_id"`
	Subjects []struct {
		Subject event.ID `json:"subject"`
		KeyID   event.ID `json:"key_id"`
		Secret  unhex    `json:"secret"`
		KEnc    unhex    `json:"k_enc"`
		KCom    unhex    `json:"k_com"`
	} `json:"subjects"`
	Records []struct {
		Leaf     unhex `json:"leaf"`
		LeafHash unhex `json:"leaf_hash"`
		Blocks   []struct {
			KeyID      event.ID `json:"key_id"`
			Plaintext  unhex    `json:"plaintext"`
			AAD        unhex    `json:"aad"`
			Ciphertext unhex    `json:"ciphertext"`
			Fields     []struct {
				Path       string `json:"path"`
				CBOR       unhex  `json:"cbor"`
				Salt       unhex  `json:"salt"`
				Commitment unhex  `json:"commitment"`
			} `json:"fields"`
		} `json:"blocks"`
	} `json:"records"`
}

// The bytes of docs/record-format.md: what the stand-alone verifier's golden
// file says, the product makes.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile("../ledger/verify/testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g goldenLog
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	log := event.LogID{ID: g.LogID}
	secrets := map[event.ID]*derived{}
	for _, s := range g.Subjects {
		k := Secret(s.Secret).derived(log)
		secrets[s.KeyID] = k
		probe := place{log: log, typ: "probe"}
		enc, err := gcm(s.KEnc)
		if err != nil {
			t.Fatal(err)
		}
		c := k.encrypt(probe, []byte("plain"))
		if got, err := enc.Open(nil, c[:12], c[12:], probe.aad()); err != nil || string(got) != "plain" || !bytes.Equal(k.com, s.KCom) {
			t.Errorf("keys derived for %s differ", s.Subject)
		}
	}
	checked := 0
	for i, gr := range g.Records {
		r, err := event.ParseLeaf(gr.Leaf)
		if err != nil {
			t.Fatalf("record %d: %v", i+1, err)
		}
		if h := event.LeafHash(gr.Leaf); !bytes.Equal(h[:], gr.LeafHash) {
			t.Errorf("record %d: leaf hash %s", i+1, h)
		}
		for j, gb := range gr.Blocks {
			p := place{log, r.ID, r.Blocks[j].Subject, r.Blocks[j].Key, r.Type, r.Revision}
			if !bytes.Equal(p.aad(), gb.AAD) {
				t.Errorf("record %d: additional data %x", i+1, p.aad())
			}
			k := secrets[gb.KeyID]
			if got, err := k.decrypt(p, gb.Ciphertext); err != nil || !bytes.Equal(got, gb.Plaintext) {
				t.Errorf("record %d: opens to %x (%v)", i+1, got, err)
			}
			c := k.committer(r.ID)
			for _, f := range gb.Fields {
				salt, com := c.salt(f.Path), c.commit(f.Path, f.CBOR)
				if !bytes.Equal(salt[:], f.Salt) || !bytes.Equal(com[:], f.Commitment) {
					t.Errorf("record %d: %s: salt %s, commitment %s", i+1, f.Path, salt, com)
				}
				checked++
			}
		}
	}
	if checked == 0 {
		t.Fatal("the golden file commits to nothing")
	}
}
