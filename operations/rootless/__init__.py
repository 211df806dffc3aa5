"""Operations that keep the promises rootless.*."""
