package restfront

import (
	"net/http"
	"strings"

	"github.com/hubward/hubward"
)

// keyRequest is the body of regenerateKeys, keyResult its answer.
//
// Source: Azure/azure-iot-cli-extension, which alone makes this call.
type keyRequest struct {
	PolicyKey string    `json:"policyKey"`
	Devices   []keyItem `json:"devices"`
}

type keyItem struct {
	ID       string             `json:"id"`
	ModuleID hubward.NullString `json:"moduleId"`
}

type keyResult struct {
	PolicyKey   string       `json:"policyKey"`
	RotatedKeys []rotatedKey `json:"rotatedKeys"`
	Errors      []keyError   `json:"errors"`
}

type rotatedKey struct {
	keyItem
	PrimaryKey   hubward.NullString `json:"primaryKey"`
	SecondaryKey hubward.NullString `json:"secondaryKey"`
}

type keyError struct {
	keyItem
	ErrorCode   hubward.Code `json:"errorCode"`
	ErrorStatus string       `json:"errorStatus"`
}

// regenerateKeys makes new keys for up to 100 devices. It answers 200 also when some of them failed; those are in "errors".
func regenerateKeys(c *call) error {
	body, err := c.readBody(maxBody)
	if err != nil {
		return err
	}
	var req keyRequest
	if err := decode(body, &req); err != nil {
		return err
	}
	primary, secondary, err := req.which()
	if err != nil {
		return err
	}
	result := keyResult{PolicyKey: req.PolicyKey, RotatedKeys: []rotatedKey{}, Errors: []keyError{}}
	var ids []hubward.Identity
	for _, item := range req.Devices {
		ids = append(ids, hubward.Identity{Device: item.ID, Module: string(item.ModuleID)})
	}
	rotations, err := c.server.hub.RegenerateKeys(c.ctx, &c.principal, ids, primary, secondary)
	if err != nil {
		return err
	}
	for _, r := range rotations {
		item := keyItem{ID: r.ID.Device, ModuleID: hubward.NullString(r.ID.Module)}
		if r.Err != nil {
			result.Errors = append(result.Errors, c.failedItem(item, r.Err))
			continue
		}
		result.RotatedKeys = append(result.RotatedKeys, rotatedKey{item, r.Key.PrimaryKey, r.Key.SecondaryKey})
	}
	return c.answer(http.StatusOK, result)
}

// which says what keys are to be renewed.
func (r *keyRequest) which() (primary, secondary bool, err error) {
	switch strings.ToLower(r.PolicyKey) {
	case "primarykey":
		return true, false, nil
	case "secondarykey":
		return false, true, nil
	case "both":
		return true, true, nil
	}
	return false, false, hubward.Errorf(hubward.CodeArgumentInvalid, "policyKey: %.40q is not primaryKey, secondaryKey or both", r.PolicyKey)
}

func (c *call) failedItem(item keyItem, err error) keyError {
	code, text := c.itemError(hubward.Identity{Device: item.ID, Module: string(item.ModuleID)}, err)
	return keyError{item, code, text}
}
