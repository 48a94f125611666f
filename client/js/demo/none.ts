// In place of what the encryption could load and never asks for here.
export {}
