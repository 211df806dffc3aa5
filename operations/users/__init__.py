"""Operations that keep the promises users.*."""
