"""Operations that keep the promises docker.*."""
