"""Operations that keep the promises driver.*."""
