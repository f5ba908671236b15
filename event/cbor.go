package event

import "github.com/fxamacker/cbor/v2"

// Deterministic encodes in the core deterministic form of RFC 8949 §4.2, byte
// arrays as byte strings.
var Deterministic = func() cbor.EncMode {
	o := cbor.CoreDetEncOptions()
	o.ByteArray = cbor.ByteArrayToByteSlice
	o.NilContainers = cbor.NilContainerAsEmpty
	m, err := o.EncMode()
	if err != nil {
		panic(err)
	}
	return m
}()

// Strict decodes what Deterministic writes and refuses duplicate and unknown
// keys, indefinite lengths, trailing bytes and text that is not UTF-8.
var Strict = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		IndefLength:       cbor.IndefLengthForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		UTF8:              cbor.UTF8RejectInvalid,
		MaxNestedLevels:   16,
		IntDec:            cbor.IntDecConvertSignedOrFail,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()
