"""Operations that keep the package managers able to work."""
