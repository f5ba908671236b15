package verify

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/tlog"
)

// receiptFormat names the format of a receipt file.
const receiptFormat = "muniment.dev/receipt/v1"

// maxReceipt bounds a receipt file, in bytes.
const maxReceipt = 1 << 20

// receiptFile is a receipt as decoded from JSON.
type receiptFile struct {
	leaf      []byte
	proof     string
	continued []link
	disclosed []disclosure
}

// link is a record with which a generation began, and its inclusion proof.
type link struct {
	leaf  []byte
	proof tlog.RecordProof
}

type disclosure struct {
	subject     ID
	path        string
	value, salt []byte
}

// parseReceipt decodes the file. Package json takes field names in any case,
// repeated and unknown ones too, and what follows the value; so the fields are
// read one by one here.
func parseReceipt(file []byte) (*receiptFile, error) {
	if len(file) > maxReceipt {
		return nil, &Error{ReceiptMalformed, fmt.Sprintf("longer than %d bytes", maxReceipt)}
	}
	if !utf8.Valid(file) || !json.Valid(file) { // the latter refuses trailing data
		return nil, &Error{ReceiptMalformed, "not one JSON value in UTF-8"}
	}
	d := json.NewDecoder(bytes.NewReader(file))
	r := new(receiptFile)
	format := ""
	err := readObject(d, []string{"format", "leaf", "proof"}, func(name string) (err error) {
		switch name {
		case "format":
			format, err = readString(d)
		case "leaf":
			r.leaf, err = readBase64(d)
		case "proof":
			r.proof, err = readString(d)
		case "continued":
			r.continued, err = readContinued(d)
		case "disclosed":
			r.disclosed, err = readDisclosed(d)
		default:
			err = fmt.Errorf("unknown field %q", name)
		}
		return err
	})
	if err == nil && format != receiptFormat {
		err = fmt.Errorf("format %q, this verifier knows %q", format, receiptFormat)
	}
	if err != nil {
		return nil, &Error{ReceiptMalformed, err.Error()}
	}
	return r, nil
}

// readContinued reads a list of objects {leaf, proof}, proof a list of hashes.
func readContinued(d *json.Decoder) (list []link, err error) {
	err = readList(d, "continued", func() error {
		var x link
		err := readObject(d, []string{"leaf", "proof"}, func(name string) (err error) {
			switch name {
			case "leaf":
				x.leaf, err = readBase64(d)
			case "proof":
				err = readList(d, "proof", func() error {
					s, err := readString(d)
					if err != nil {
						return err
					}
					h, err := parseHash(s)
					x.proof = append(x.proof, h)
					return err
				})
			default:
				err = fmt.Errorf("unknown field %q in continued", name)
			}
			return err
		})
		list = append(list, x)
		return err
	})
	if err == nil && len(list) == 0 {
		err = errors.New("field continued is empty, it must be omitted")
	}
	return list, err
}

// readList reads a list and calls item for each of its elements.
func readList(d *json.Decoder, name string, item func() error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return fmt.Errorf("field %s is not a list", name)
	}
	for d.More() {
		if err := item(); err != nil {
			return err
		}
	}
	_, err := d.Token() // ]
	return err
}

// readDisclosed reads a list of objects {subject, path, value, salt}.
func readDisclosed(d *json.Decoder) (list []disclosure, err error) {
	err = readList(d, "disclosed", func() error {
		var x disclosure
		err := readObject(d, []string{"subject", "path", "value", "salt"}, func(name string) (err error) {
			switch name {
			case "subject":
				x.subject, err = readID(d)
			case "path":
				x.path, err = readString(d)
			case "value":
				x.value, err = readBase64(d)
			case "salt":
				if x.salt, err = readBase64(d); err == nil && len(x.salt) != 32 {
					err = fmt.Errorf("salt of %d bytes, want 32", len(x.salt))
				}
			default:
				err = fmt.Errorf("unknown field %q in disclosed", name)
			}
			return err
		})
		list = append(list, x)
		return err
	})
	return list, err
}

// readObject reads an object and calls field for each name; every required name
// must occur, and none twice.
func readObject(d *json.Decoder, required []string, field func(name string) error) error {
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.New("not an object")
	}
	seen := make(map[string]bool)
	for d.More() {
		name, err := readString(d)
		if err != nil {
			return err
		}
		if seen[name] {
			return fmt.Errorf("field %q occurs twice", name)
		}
		seen[name] = true
		if err := field(name); err != nil {
			return err
		}
	}
	for _, name := range required {
		if !seen[name] {
			return fmt.Errorf("field %q is missing", name)
		}
	}
	_, err := d.Token() // }
	return err
}

func readString(d *json.Decoder) (string, error) {
	t, err := d.Token()
	if errors.Is(err, io.EOF) {
		return "", io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", err
	}
	s, ok := t.(string)
	if !ok {
		return "", fmt.Errorf("%v where a string belongs", t)
	}
	return s, nil
}

func readBase64(d *json.Decoder) ([]byte, error) {
	s, err := readString(d)
	if err != nil {
		return nil, err
	}
	return decode64(s)
}

func readID(d *json.Decoder) (id ID, err error) {
	s, err := readString(d)
	if err == nil && !isHexID(s) {
		err = fmt.Errorf("subject %q is not 32 lower-case hexadecimal digits", s)
	}
	if err == nil {
		_, err = hex.Decode(id[:], []byte(s))
	}
	return id, err
}
