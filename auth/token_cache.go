package auth

import (
	"crypto/sha256"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// tokenHash names a token in the cache, which holds no token itself.
type tokenHash [sha256.Size]byte

// tokenCache holds what the tokens verified last prove. Many goroutines may use it.
type tokenCache struct {
	mu  sync.Mutex
	lru *simplelru.LRU[tokenHash, verified]
}

// newTokenCache makes a cache of at most size tokens.
func newTokenCache(size int) *tokenCache {
	lru, _ := simplelru.NewLRU[tokenHash, verified](size, nil) // only fails for a size below 1
	return &tokenCache{lru: lru}
}

func (c *tokenCache) get(hash tokenHash) (verified, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lru.Get(hash)
}

func (c *tokenCache) add(hash tokenHash, v verified) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Add(hash, v)
}

func (c *tokenCache) forget(hash tokenHash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lru.Remove(hash)
}
